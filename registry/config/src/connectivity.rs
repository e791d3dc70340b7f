//! `[node.connectivity]`: whom the node connects with.

use std::{fmt, ops::Range, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use stackwire_core::{Multiaddr, address};
use stackwire_plugin::{Problem, shorten, suggest};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    Settings, keys,
    values::{count, seconds},
};

/// `[node.connectivity]`: whom the node connects with, and whose connections it closes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connectivity {
    /// How many connections the node makes: `"all"`, the default, is one with each peer that discoveries name, for a list of
    /// seeds is somebody's choice already. A number is for networks that are larger (Aptos makes 5, Diem 3). Must-haves are
    /// not counted.
    #[schemars(schema_with = "outbound_schema")]
    pub outbound: Outbound,
    /// Peers that the node must be connected with, each an address with `/p2p/…` (several of one peer are several entries).
    /// They are dialed before all others and beyond all limits here, for ever, and never closed to make room.
    #[serde(with = "must_haves")]
    #[schemars(with = "Vec<String>", length(max = 256))]
    pub must_have: Vec<Multiaddr>,
    /// Connections above which those that are of the least use are closed, at most `limits.max_connections`. Omitted: never.
    /// `max_connections` bounds a node already, and it is right to close what nobody uses only where protocols say what is of
    /// use to them. (go-libp2p has 192 in hosts, 512 in p2pd.)
    #[serde(deserialize_with = "optional_count", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub high_water: Option<usize>,
    /// How many are left then; from here on nobody but must-haves is dialed. Omitted: five sixths of `high_water`, as
    /// go-libp2p's 160 are of its 192.
    #[serde(deserialize_with = "optional_count", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub low_water: Option<usize>,
    /// How long a new connection is not closed for that: 60 (go-libp2p), the time to become useful.
    #[serde(rename = "grace_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub grace: Duration,
    /// The time from one such closing to the next: 10 (go-libp2p), so that what is being closed is gone by then.
    #[serde(rename = "trim_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub trim: Duration,
    /// How often the node looks for what nothing tells it of: 5 (Diem and Aptos check so often).
    #[serde(rename = "check_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub check: Duration,
    /// The roles of the peers that are dialed, the most wanted first. Empty, the default: all, in the order in which trusted
    /// sets have them (Aptos: validators first, strangers last).
    #[schemars(length(max = 256))]
    pub roles: Vec<String>,
    /// Discoveries of this config whose peers are dialed before those of others. Empty, the default: none is better. (Diem: what
    /// the chain says, then a file, then the config.)
    #[schemars(length(max = 64))]
    pub sources: Vec<String>,
    /// How long after its first failure a peer is dialed again; doubled each time up to `backoff_max_secs`. 2 (Diem, Aptos).
    #[serde(rename = "backoff_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub backoff: Duration,
    /// The longest of these pauses: 60 (Diem, Aptos). Must-haves and peers that the operator has named are dialed so often for
    /// ever. For others pauses go on to double (aelf).
    #[serde(rename = "backoff_max_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub backoff_max: Duration,
    /// How long those others are tried before they are given up, until a discovery names them anew: 86400, a day (aelf).
    #[serde(rename = "give_up_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub give_up: Duration,
    /// Whether connections are closed whose peers nobody names: no discovery, no list of must-haves, no trusted set. False, the
    /// default: strangers may connect, and who was named once may stay. (Aptos: mutual authentication, for validators only.)
    pub exclusive: bool,
}

impl Default for Connectivity {
    fn default() -> Self {
        Self {
            outbound: Outbound::All,
            must_have: Vec::new(),
            high_water: None,
            low_water: None,
            grace: Duration::from_secs(60),
            trim: Duration::from_secs(10),
            check: Duration::from_secs(5),
            roles: Vec::new(),
            sources: Vec::new(),
            backoff: Duration::from_secs(2),
            backoff_max: Duration::from_secs(60),
            give_up: Duration::from_secs(24 * 3600),
            exclusive: false,
        }
    }
}

impl Connectivity {
    /// Where trimming ends and where it begins; `None`: there is none.
    pub fn water(&self) -> Option<(usize, usize)> {
        let high = self.high_water?;
        // At least one, so that somebody is left to talk with.
        Some((self.low_water.unwrap_or(high * 5 / 6).max(1), high))
    }
}

impl fmt::Display for Connectivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outbound {
            Outbound::All => write!(f, "with all that are named")?,
            Outbound::Count(count) => write!(f, "with {count} of those that are named")?,
        }
        match self.roles.as_slice() {
            [] => {}
            roles => write!(f, " ({})", roles.join(", "))?,
        }
        write!(f, ", {} must-haves", self.must_have.len())?;
        if let Some((low, high)) = self.water() {
            write!(f, ", from {high} down to {low} after {:?}", self.grace)?;
        }
        let Self { backoff, backoff_max, give_up, .. } = self;
        write!(f, ", tries again after {backoff:?} to {backoff_max:?}, gives up after {give_up:?}")?;
        f.write_str(if self.exclusive { ", and with nobody else" } else { "" })
    }
}

/// How many connections a node makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// One with each peer that is named.
    All,
    /// So many.
    Count(usize),
}

const ALL: &str = "all";
const MAX_OUTBOUND: u64 = 1_000_000;

impl Serialize for Outbound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(ALL),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for Outbound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Outbound;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{ALL}\" or a whole number from 0 to {MAX_OUTBOUND}")
            }
            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Outbound, E> {
                let fits = usize::try_from(count).ok().filter(|_| count <= MAX_OUTBOUND);
                fits.map(Outbound::Count).ok_or_else(|| E::custom(format!("must be from 0 to {MAX_OUTBOUND}")))
            }
            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Outbound, E> {
                self.visit_u64(u64::try_from(count).unwrap_or(u64::MAX))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Outbound, E> {
                match text {
                    ALL => Ok(Outbound::All),
                    other => {
                        let why =
                            format!("`outbound` is \"{}\"; it must be \"{ALL}\" or a whole number", shorten(other));
                        Err(E::custom(why))
                    }
                }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

fn outbound_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "string"], "minimum": 0, "maximum": MAX_OUTBOUND, "maxLength": 256, "default": ALL })
}

fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

/// Addresses that end with `/p2p/…`.
mod must_haves {
    use super::*;

    pub use crate::values::addresses::serialize;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Multiaddr>, D::Error> {
        Ok(Vec::<MustHave>::deserialize(deserializer)?.into_iter().map(|MustHave(address)| address).collect())
    }

    struct MustHave(Multiaddr);

    /// By a visitor, so that an error is at the place of its entry.
    impl<'de> Deserialize<'de> for MustHave {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Text;
            impl Visitor<'_> for Text {
                type Value = MustHave;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an address with /p2p/… in quotes")
                }
                fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MustHave, E> {
                    let parsed = address::parse(text).map_err(E::custom)?;
                    match address::split_peer(&parsed).1 {
                        Some(_) => Ok(MustHave(parsed)),
                        None => {
                            let why = "a peer that a node must have is known by its id; write it behind the address";
                            Err(E::custom(format!("{why}: \"{}/p2p/12D3Koo…\"", shorten(text))))
                        }
                    }
                }
            }
            deserializer.deserialize_str(Text)
        }
    }
}

/// The section as it stands in the text.
pub(crate) struct Written<'a>(DeTable<'a>);

/// `[node.connectivity]` of a document.
pub(crate) fn written<'a>(document: &DeTable<'a>) -> Option<Written<'a>> {
    let DeValue::Table(node) = document.get("node")?.get_ref() else { return None };
    match node.get("connectivity")?.get_ref() {
        DeValue::Table(section) => Some(Written(section.clone())),
        _ => None,
    }
}

impl Written<'_> {
    /// What is wrong with options that are good each by itself.
    pub(crate) fn problems(&self, settings: &Settings, discoveries: &[&str]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |span: Option<Range<usize>>, message: String, help: String| {
            problems.push(Problem { span, message, help: Some(help) });
        };
        let place = |option| keys::place_of(&self.0, option);
        let Connectivity { low_water, high_water, backoff, backoff_max, .. } = settings.connectivity;
        let most = settings.limits.max_connections;
        match (low_water, high_water) {
            (Some(low), None) => problem(
                place("low_water"),
                "`connectivity.low_water` is nothing without `high_water`".into(),
                format!("add `high_water = {}`", (low * 6 / 5).min(most.max(low))),
            ),
            (Some(low), Some(high)) if low > high => problem(
                place("low_water"),
                format!("`connectivity.low_water` is {low}, more than `high_water`, which is {high}"),
                format!("write `low_water = {}`", (high * 5 / 6).max(1)),
            ),
            _ => {}
        }
        if let Some(high) = high_water.filter(|high| *high > most) {
            problem(
                place("high_water"),
                format!("`connectivity.high_water` is {high}, more than there can be"),
                format!("write {most} at most, or more in `limits.max_connections`"),
            );
        }
        if backoff > backoff_max {
            problem(
                place("backoff_max_secs").or_else(|| place("backoff_secs")),
                format!(
                    "`connectivity.backoff_max_secs` is {backoff_max:?}, less than `backoff_secs`, which is {backoff:?}"
                ),
                format!("write `backoff_max_secs = {}`", backoff.as_secs_f64()),
            );
        }
        for (span, name) in self.names("sources").filter(|(_, name)| !discoveries.contains(name)) {
            let message = format!("this config has no discovery `{}`", shorten(name));
            problem(Some(span), message, suggest(name, discoveries.iter().copied()));
        }
        // What is wrong with the roles themselves is told where they stand.
        let known = settings.trust.known_roles().unwrap_or_default();
        for (span, name) in self.names("roles").filter(|(_, name)| known.get(name).is_none()) {
            let help = suggest(name, known.names()) + "; a role of your own stands in `trust.roles`";
            problem(Some(span), format!("`{}` is no role of a peer", shorten(name)), help);
        }
        problems
    }

    /// The entries of a list of names, each with its place.
    fn names(&self, option: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
        let list = match self.0.get(option).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => list.iter().collect(),
            _ => Vec::new(),
        };
        list.into_iter().map(|entry| (entry.span(), entry.get_ref().as_str().unwrap_or_default()))
    }
}
