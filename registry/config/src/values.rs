//! How single values of `[node]` are written: bounded counts, times, addresses.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

/// The longest time that a config may ask for: over eleven days.
const MAX_SECONDS: f64 = 1e6;
const MAX_MILLIS: u64 = 60_000;

/// The most that any count may be: what a machine might hold, and far below what would overflow.
const MAX_COUNT: usize = 1_000_000;

/// A count of at least 1.
pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        n if (1..=MAX_COUNT).contains(&n) => Ok(n),
        _ => Err(D::Error::custom(format!("must be from 1 to {MAX_COUNT}"))),
    }
}

/// A count that may be left out.
pub fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

/// The most that may happen in a second.
const MAX_RATE: u64 = 1_000_000_000_000;

/// How often in a second; 0 is no limit.
pub fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        n if n <= MAX_RATE => Ok(n),
        _ => Err(D::Error::custom(format!("must be at most {MAX_RATE} a second; 0 is no limit"))),
    }
}

/// The most memory that a config may speak of: a tebibyte.
const MAX_BYTES: u64 = 1 << 40;
/// The least: what a connection needs to do anything.
const MIN_BYTES: u64 = 64 << 10;

/// An amount of memory.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        n if (MIN_BYTES..=MAX_BYTES).contains(&n) => Ok(n),
        _ => Err(D::Error::custom(format!("must be from {MIN_BYTES} to {MAX_BYTES} bytes"))),
    }
}

/// An amount of memory that may be left out.
pub fn optional_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    bytes(deserializer).map(Some)
}

/// The name of a file, that may be left out.
pub fn optional_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(D::Error::custom("`identity` names no file; leave it out for a fresh key at every start"));
    }
    Ok(Some(path))
}

/// The name of a folder, that may be left out.
pub fn optional_folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(D::Error::custom("`data_dir` names no folder; leave it out to keep everything in memory"));
    }
    Ok(Some(path))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D, min: f64) -> Result<Duration, D::Error> {
    let value = f64::deserialize(deserializer)?;
    // A comparison that NaN fails, too.
    if (min..=MAX_SECONDS).contains(&value) {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(D::Error::custom(format!("must be from {min} to {MAX_SECONDS} seconds")))
    }
}

/// A time of at least a millisecond, in seconds.
pub mod seconds {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        duration(deserializer, 0.001)
    }
}

/// A time in seconds where 0 means none.
pub mod optional_seconds {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.unwrap_or_default().as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        duration(deserializer, 0.0).map(|value| (!value.is_zero()).then_some(value))
    }
}

/// A time in whole milliseconds, at most a minute.
pub mod millis {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match u64::deserialize(deserializer)? {
            n if n <= MAX_MILLIS => Ok(Duration::from_millis(n)),
            _ => Err(D::Error::custom(format!("must be at most {MAX_MILLIS} milliseconds"))),
        }
    }
}

/// Peers and hosts as text.
pub mod parties {
    use serde::{Deserializer, Serializer};
    use stackwire_core::Party;

    use super::*;

    /// Entries of a list.
    const MAX_PARTIES: usize = 65_536;

    pub fn serialize<S: Serializer>(value: &[Party], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(Party::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Party>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > MAX_PARTIES {
            return Err(D::Error::custom(format!("{} entries; there may be {MAX_PARTIES}", texts.len())));
        }
        texts.iter().map(|text| text.parse().map_err(|e: stackwire_core::Error| D::Error::custom(e.during()))).collect()
    }
}

/// Addresses as text.
pub mod addresses {
    use serde::{Deserializer, Serializer};
    use stackwire_core::{Multiaddr, address};

    use super::*;

    pub fn serialize<S: Serializer>(value: &[Multiaddr], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(Multiaddr::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Multiaddr>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| address::parse(text).map_err(D::Error::custom)).collect()
    }
}
