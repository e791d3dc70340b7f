//! A role that a network has of its own.

use std::{collections::BTreeSet, fmt};

use parking_lot::Mutex;

use crate::{Error, Kind, Result};

/// Different names of own roles that one process may have, ever.
const MAX_NAMES: usize = 256;
/// Bytes of a name.
const MAX_NAME: usize = 32;

/// The names of this process. They are never given back, so that a role is a plain value; so they are few.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// A role that a network has of its own, and its place among all roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnRole {
    behind: u8,
    position: u8,
    name: &'static str,
}

impl OwnRole {
    /// The role of this name that stands behind so many of Diem's and Aptos's, as the `position`th (from 1) there. Fails with
    /// `ConfigInvalid` for a name that is none, and `LimitExceeded` where a process has too many.
    pub(super) fn new(name: &str, behind: u8, position: u8) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
            let shown: String = name.chars().take(MAX_NAME).collect();
            let why = format!("“{shown}” is no name of a role: 1 to 32 small letters, digits, `-` and `_`");
            return Err(Error::new(Kind::ConfigInvalid, why));
        }
        Ok(Self { behind, position, name: kept(name)? })
    }

    /// Its name, as configs and reports spell it.
    pub fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn place(self) -> (usize, usize) {
        (self.behind.into(), self.position.into())
    }
}

/// The same name, kept for as long as the process runs.
fn kept(name: &str) -> Result<&'static str> {
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return Ok(known);
    }
    if names.len() >= MAX_NAMES {
        let kind = Kind::LimitExceeded { limit: "names of roles that a process has had", max: MAX_NAMES as u64 };
        return Err(Error::new(kind, "naming a role: restart the program"));
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    Ok(name)
}

impl fmt::Debug for OwnRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
