//! What an error says beside its text: a few keys with values.

use std::fmt::{self, Write};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::printable;

/// Details that one error has at most.
const MAX_DETAILS: usize = 4;
/// Bytes of a value; a longer one is cut and ends in `…`.
const MAX_VALUE: usize = 128;

/// Keys with their values, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Details(Vec<(&'static str, Box<str>)>);

impl Details {
    /// Whether a value of `key` would be added.
    pub fn takes(&self, key: &str) -> bool {
        self.0.len() < MAX_DETAILS && self.0.iter().all(|(known, _)| *known != key)
    }

    /// Adds `value`, cut to its limit. Whoever calls has asked [`Details::takes`].
    pub fn add(&mut self, key: &'static str, value: impl fmt::Display) {
        let mut text = Cut::default();
        // An error here is the cut itself, or a value that can't be shown: what there is of it stays.
        let _ = write!(text, "{value}");
        self.0.push((key, text.0.into()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, &**value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// ` (key = value, …)`, or nothing.
impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.iter().enumerate() {
            let before = if at == 0 { " (" } else { ", " };
            write!(f, "{before}{key} = {}", printable(value))?;
        }
        if self.is_empty() { Ok(()) } else { f.write_char(')') }
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A text that stops growing at the limit, so that a long value is never written in full.
#[derive(Default)]
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_VALUE.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push('…');
        Err(fmt::Error)
    }
}
