//! The last look at what is printed: whoever put it together, and from whatever, it only shows.
//!
//! Names and texts of strangers are escaped where they are put among ours, see [`plain`](super::plain), because only there
//! a line break of theirs can be told from one of ours. What was missed there still can't act here.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use stackwire_node::is_unprintable;

/// Characters of one string of a report.
const MAX_STRING: usize = 8 * 1024;

/// A text for people: line breaks and tabs stay, colours where they are wanted, and all else that acts is escaped.
pub fn text(text: &str, colour: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let style = style(rest);
        if style > 0 {
            if colour {
                safe.push_str(&rest[..style]);
            }
            rest = &rest[style..];
            continue;
        }
        match character {
            '\n' | '\t' => safe.push(character),
            _ if is_unprintable(character) => safe.extend(character.escape_default()),
            _ => safe.push(character),
        }
        rest = &rest[character.len_utf8()..];
    }
    safe
}

/// The length of the code for a colour that `text` begins with; 0 where it begins with none.
fn style(text: &str) -> usize {
    let Some(code) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = code.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if code.as_bytes().get(digits) == Some(&b'm') { 2 + digits + 1 } else { 0 }
}

/// A report for machines on one line: strings are bounded, and nothing acts on a terminal that shows it.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(value)?;
    bound(&mut value);
    let line = value.to_string();
    if !line.chars().any(is_unprintable) {
        return Ok(line);
    }
    let mut safe = String::with_capacity(line.len());
    for character in line.chars() {
        if is_unprintable(character) {
            // Outside of strings JSON has none of these, and inside they may be written so.
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    Ok(safe)
}

fn bound(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(MAX_STRING) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => fields.values_mut().for_each(bound),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}";

    #[test]
    fn our_colours_stay_and_nothing_else_acts() {
        let styled = format!("\u{1b}[1mhead\u{1b}[0m\n\t{EVIL}");
        let shown = "\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}";
        assert_eq!(text(&styled, true), format!("\u{1b}[1mhead\u{1b}[0m\n\t{shown}"));
        assert_eq!(text(&styled, false), format!("head\n\t{shown}"));
        for cut in ["\u{1b}", "\u{1b}[", "\u{1b}[1", "\u{1b}[1;"] {
            assert!(!text(cut, true).chars().any(is_unprintable), "{cut:?}");
        }
    }

    #[test]
    fn reports_say_the_same_and_show_nothing_that_acts() {
        let value = json!({ EVIL: [EVIL, "\u{e0041}\u{7f}", "größe"], "n": 1 });
        let line = super::json(&value).unwrap();
        assert!(!line.chars().any(is_unprintable), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        let long = super::json(&json!("x".repeat(1 << 20))).unwrap();
        assert_eq!(long.chars().count(), MAX_STRING + 3);
    }
}
