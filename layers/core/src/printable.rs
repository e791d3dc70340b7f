//! Text of strangers, made safe to show.

use std::fmt::{self, Display, Write};

/// Characters that are shown of a name, an address, an agent: more than any honest one has.
const MAX_CHARACTERS: usize = 1024;

/// Shows `value` on one line: characters that would move a cursor, ring, recolour, retitle a window or turn the direction
/// of text are escaped as Rust writes them (`\n`, `\u{1b}`), and what is longer than 1024 characters ends in `…`.
///
/// Whatever came from the wire or from another program is to be shown like this wherever people read it: on terminals,
/// in logs, in errors. [`Error`](crate::Error) does so by itself.
pub fn printable<T: Display>(value: T) -> Printable<T> {
    Printable { value, most: MAX_CHARACTERS, lines: false }
}

/// See [`printable`].
pub struct Printable<T> {
    value: T,
    most: usize,
    lines: bool,
}

impl<T> Printable<T> {
    /// Shows at most so many characters.
    pub fn at_most(mut self, characters: usize) -> Self {
        self.most = characters;
        self
    }

    /// Leaves line breaks as they are: for text whose lines are ours.
    pub fn in_lines(mut self) -> Self {
        self.lines = true;
        self
    }
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape { to: f, left: self.most, cut: false, lines: self.lines }, "{}", self.value)
    }
}

struct Escape<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    /// Characters that may still be shown.
    left: usize,
    /// Some were not shown, and it was said.
    cut: bool,
    lines: bool,
}

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // What needs no escape is written in one piece; `begin` is where the piece begins.
        let mut begin = 0;
        for (at, character) in text.char_indices() {
            if self.left == 0 {
                self.to.write_str(&text[begin..at])?;
                return if std::mem::replace(&mut self.cut, true) { Ok(()) } else { self.to.write_char('…') };
            }
            self.left -= 1;
            if self.is_special(character) {
                write!(self.to, "{}{}", &text[begin..at], character.escape_default())?;
                begin = at + character.len_utf8();
            }
        }
        self.to.write_str(&text[begin..])
    }
}

impl Escape<'_, '_> {
    fn is_special(&self, character: char) -> bool {
        is_unprintable(character) && !(self.lines && character == '\n')
    }
}

/// Whether a character acts on a terminal or on the text around it instead of being seen.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Direction of text, line and paragraph separators, invisible operators.
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}
