//! `[node.trust]`: whom a network trusts, and with whom it has connections.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stackwire_core::{
    Result,
    trust::{Roles, TrustedPeer},
};
use stackwire_plugin::{Problem, shorten, suggest};
use stackwire_trust::{KnownBy, TrustedConfig, TrustedFile};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{keys, values::seconds};

/// `[node.trust]`: whom a network trusts. Who is trusted has room where others do not, and is what its role says. Whether
/// others may connect is `authentication`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustSettings {
    /// With whom there are connections. `open` (the default: a libp2p node is for everybody): with anybody. `server-only`: only
    /// trusted peers are dialed, and anybody may dial (Diem's and Aptos's public networks). `mutual`: with trusted peers only
    /// (their validators' networks). Every security protocol is held to it. Beside what is listed here, code and plug-ins may
    /// add trusted peers.
    pub authentication: Authentication,
    /// Roles that the network has of its own, the most wanted first, with those of Diem and Aptos between them where that says
    /// where they stand: `["validator", "sequencer"]`. Default: none.
    #[schemars(length(max = 64))]
    pub roles: Vec<String>,
    /// Trusted peers. Default: none.
    pub trusted: Vec<TrustedConfig>,
    /// A TOML file with more of them, as `[[trusted]]`; read again when it changes, looked at each second. Where it is broken
    /// the old list stays.
    #[serde(deserialize_with = "file", skip_serializing_if = "Option::is_none")]
    pub trusted_file: Option<PathBuf>,
    /// An http or https address with more of them, in TOML or JSON, of at most 4 MiB. Where it can't be had within ten seconds,
    /// or makes no sense, the old list stays.
    #[serde(deserialize_with = "url", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub trusted_url: Option<String>,
    /// How often it is asked, in seconds. Default: 60; sets of validators change by epochs, of two hours on Aptos, so that a
    /// minute is soon.
    #[serde(rename = "trusted_poll_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 1, max = 1e6))]
    pub trusted_poll: Duration,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self {
            authentication: Authentication::Open,
            roles: Vec::new(),
            trusted: Vec::new(),
            trusted_file: None,
            trusted_url: None,
            trusted_poll: Duration::from_secs(60),
        }
    }
}

/// With whom a network has connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// With anybody.
    #[default]
    Open,
    /// Whom we dial must be trusted; anybody may dial us.
    ServerOnly,
    /// With trusted peers only.
    Mutual,
}

impl Authentication {
    /// Its name, as configs spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ServerOnly => "server-only",
            Self::Mutual => "mutual",
        }
    }
}

impl TrustSettings {
    /// The roles that peers may have. Fails with `ConfigInvalid`, naming the fix.
    pub fn known_roles(&self) -> Result<Roles> {
        Roles::new(self.roles.iter().map(String::as_str))
    }

    /// Those that are listed in the config itself. Fails with `ConfigInvalid`, naming the fix.
    pub fn listed(&self) -> Result<Vec<TrustedPeer>> {
        let roles = self.known_roles()?;
        self.trusted.iter().map(|entry| entry.parse(KnownBy::Identity, &roles)).collect()
    }

    /// The file with more of them. Fails as [`TrustSettings::known_roles`] does.
    pub fn file(&self) -> Result<Option<TrustedFile>> {
        let Some(path) = &self.trusted_file else { return Ok(None) };
        Ok(Some(TrustedFile::new(path.clone(), KnownBy::Identity).with_roles(self.known_roles()?)))
    }
}

fn file<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(serde::de::Error::custom("`trust.trusted_file` names no file; leave it out"));
    }
    Ok(Some(path))
}

fn url<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    let url = String::deserialize(deserializer)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !url.contains(|c: char| c.is_whitespace() || c.is_control());
    if !good {
        let why = "`trust.trusted_url` is no address such as \"https://example.com/validators.toml\"";
        return Err(serde::de::Error::custom(why));
    }
    Ok(Some(url))
}

/// What is wrong with the section `[node]` of `table`, which reads as `settings`, with its place.
pub(crate) fn check(table: &DeTable<'_>, settings: &TrustSettings, problems: &mut Vec<Problem>) {
    let mut problem = |span, message: String, help: Option<String>| problems.push(Problem { span, message, help });
    let roles = match settings.known_roles() {
        Ok(roles) => roles,
        Err(error) => return problem(keys::place_of(table, "trust.roles"), error.during().to_string(), None),
    };
    let places = entries(table);
    for (index, entry) in settings.trusted.iter().enumerate() {
        let Some(place) = places.get(index) else { return };
        match entry.role.as_deref().filter(|role| roles.get(role).is_none()) {
            Some(role) => {
                let mut help = suggest(role, roles.names());
                help.push_str("; a role of your own stands in `trust.roles`");
                let span = place.role.clone().unwrap_or_else(|| place.span.clone());
                problem(Some(span), format!("`{}` is no role of a peer", shorten(role)), Some(help));
            }
            None => {
                if let Err(error) = entry.parse(KnownBy::Identity, &roles) {
                    problem(Some(place.span.clone()), error.during().to_string(), None);
                }
            }
        }
    }
}

struct Place {
    span: std::ops::Range<usize>,
    role: Option<std::ops::Range<usize>>,
}

/// Where each entry of `trust.trusted` stands.
fn entries(table: &DeTable<'_>) -> Vec<Place> {
    let Some(DeValue::Table(trust)) = table.get("trust").map(Spanned::get_ref) else { return Vec::new() };
    let Some(DeValue::Array(items)) = trust.get("trusted").map(Spanned::get_ref) else { return Vec::new() };
    let place = |item: &Spanned<DeValue<'_>>| Place {
        span: item.span(),
        role: match item.get_ref() {
            DeValue::Table(entry) => entry.get("role").map(Spanned::span),
            _ => None,
        },
    };
    items.iter().map(place).collect()
}
