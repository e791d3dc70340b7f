//! What the environment says.
//!
//! | | unified-testing | test-plans |
//! |---|---|---|
//! | side | `IS_DIALER` | `is_dialer` |
//! | stack | `TRANSPORT`, `SECURE_CHANNEL`, `MUXER` | `transport`, `security`, `muxer` |
//! | where a listener binds | `LISTENER_IP`, else 0.0.0.0 | `ip`, else 0.0.0.0 |
//! | redis | `REDIS_ADDR` | `redis_addr`, else redis:6379 |
//! | list | `<TEST_KEY>_listener_multiaddr` | `listenerAddr` |
//! | time limit, else 180 s | `TEST_TIMEOUT_SECS` | `test_timeout_seconds`, `test_timeout_secs` |
//!
//! A variable that is empty or says `null` is one that is not set.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use stackwire_node::{Error, Kind, Result};

use crate::args::Dialect;

/// How long a test may take where nobody says.
const DEFAULT_LIMIT: Duration = Duration::from_secs(180);
const DEFAULT_REDIS: &str = "redis:6379";

/// One side of one test.
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) dialect: Dialect,
    pub(super) is_dialer: bool,
    stack: Stack,
    ip: IpAddr,
    /// Host and port.
    pub(super) redis: (String, u16),
    /// The list's name.
    pub(super) key: String,
    pub(super) limit: Duration,
    /// The variable that sets the limit.
    pub(super) limit_name: &'static str,
    /// What is odd but harmless.
    pub(super) notes: Vec<String>,
}

/// Which transport, and what goes on top of it.
#[derive(Debug)]
struct Stack {
    transport: Transport,
    /// Security protocol and muxer, by plug-in name.
    upper: Option<[&'static str; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Ws,
    Wss,
    QuicV1,
}

const TRANSPORTS: [(&str, Transport); 4] =
    [("tcp", Transport::Tcp), ("ws", Transport::Ws), ("wss", Transport::Wss), ("quic-v1", Transport::QuicV1)];
const SECURITIES: [(&str, &str); 3] = [("noise", "noise"), ("tls", "tls"), ("plaintext", "plaintext")];
const MUXERS: [(&str, &str); 2] = [("yamux", "yamux"), ("mplex", "mplex")];
const SIDES: [(&str, bool); 2] = [("true", true), ("false", false)];

/// The variables of one suite.
struct Names {
    is_dialer: &'static str,
    transport: &'static str,
    security: &'static str,
    muxer: &'static str,
    ip: &'static str,
    redis: &'static str,
    limits: &'static [&'static str],
}

const UNIFIED_TESTING: Names = Names {
    is_dialer: "IS_DIALER",
    transport: "TRANSPORT",
    security: "SECURE_CHANNEL",
    muxer: "MUXER",
    ip: "LISTENER_IP",
    redis: "REDIS_ADDR",
    limits: &["TEST_TIMEOUT_SECS"],
};
const TEST_PLANS: Names = Names {
    is_dialer: "is_dialer",
    transport: "transport",
    security: "security",
    muxer: "muxer",
    ip: "ip",
    redis: "redis_addr",
    limits: &["test_timeout_seconds", "test_timeout_secs"],
};
const TEST_KEY: &str = "TEST_KEY";

impl Variables {
    /// Reads them, by `get`. Without `dialect` the suite is the one whose variables are set. The error names the variable
    /// that is missing or wrong.
    pub(super) fn read(dialect: Option<Dialect>, get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty() && value != "null");
        let dialect = match dialect {
            Some(dialect) => dialect,
            None if get(TEST_KEY).is_some() => Dialect::UnifiedTesting,
            None if get(TEST_PLANS.is_dialer).is_some() => Dialect::TestPlans,
            None => {
                return Err(invalid(format!(
                    "neither `{TEST_KEY}` (unified-testing) nor `{}` (test-plans) is set: this command is started by an \
                     interop suite",
                    TEST_PLANS.is_dialer
                )));
            }
        };
        let names = match dialect {
            Dialect::UnifiedTesting => &UNIFIED_TESTING,
            Dialect::TestPlans => &TEST_PLANS,
        };
        let need = |name: &'static str| get(name).ok_or_else(|| invalid(format!("`{name}` is not set")));
        let key = match dialect {
            Dialect::UnifiedTesting => format!("{}_listener_multiaddr", need(TEST_KEY)?),
            Dialect::TestPlans => "listenerAddr".to_string(),
        };
        let is_dialer = one_of(names.is_dialer, need(names.is_dialer)?, &SIDES)?;
        let mut notes = Vec::new();
        let transport = one_of(names.transport, need(names.transport)?, &TRANSPORTS)?;
        let upper = match transport {
            Transport::QuicV1 => {
                let set = [names.security, names.muxer].into_iter().filter(|name| get(name).is_some());
                notes.extend(set.map(|name| format!("`{name}` is ignored: quic-v1 brings its own")));
                None
            }
            _ => Some([
                one_of(names.security, need(names.security)?, &SECURITIES)?,
                one_of(names.muxer, need(names.muxer)?, &MUXERS)?,
            ]),
        };
        let redis = match dialect {
            Dialect::UnifiedTesting => need(names.redis)?,
            Dialect::TestPlans => get(names.redis).unwrap_or_else(|| DEFAULT_REDIS.to_string()),
        };
        let ip = match get(names.ip) {
            Some(ip) => ip.parse().map_err(|_| wrong(names.ip, &ip, "an IP address"))?,
            None => Ipv4Addr::UNSPECIFIED.into(),
        };
        let limit = names.limits.iter().find_map(|name| Some((*name, get(name)?)));
        let (limit_name, limit) = match limit {
            Some((name, text)) => match text.parse() {
                Ok(seconds @ 1..=86_400) => (name, Duration::from_secs(seconds)),
                _ => return Err(wrong(name, &text, "a number of seconds, 1 to 86400")),
            },
            None => (names.limits[0], DEFAULT_LIMIT),
        };
        let stack = Stack { transport, upper };
        let redis = host_and_port(names.redis, &redis)?;
        Ok(Self { dialect, is_dialer, stack, ip, redis, key, limit, limit_name, notes })
    }

    /// The node of this side.
    pub(super) fn config(&self) -> String {
        let Stack { transport, upper } = &self.stack;
        let family = if self.ip.is_ipv4() { "ip4" } else { "ip6" };
        let (plugin, suffix) = match transport {
            Transport::Tcp => ("use = \"tcp\"", "tcp/0"),
            Transport::Ws => ("use = \"websocket\"", "tcp/0/ws"),
            // No authority vouches for a container; the security layer proves who is there.
            Transport::Wss => ("use = \"websocket\"\ntls.verify = false", "tcp/0/tls/ws"),
            Transport::QuicV1 => ("use = \"quic\"", "udp/0/quic-v1"),
        };
        let listen = match self.is_dialer {
            true => String::new(),
            false => format!("\"/{family}/{}/{suffix}\"", self.ip),
        };
        let mut text = format!("[node]\nlisten = [{listen}]\n[[transport]]\n{plugin}\n");
        if let Some([security, muxer]) = upper {
            let insecure = if *security == "plaintext" { "insecure = true\n" } else { "" };
            text += &format!("[[security]]\nuse = \"{security}\"\n{insecure}[[muxer]]\nuse = \"{muxer}\"\n");
        }
        // The dialer pings by itself, once; some peers take no second stream of it.
        text + "[[protocol]]\nuse = \"identify\"\n[[protocol]]\nuse = \"ping\"\ninterval_secs = 0\n"
    }
}

fn one_of<T: Copy>(name: &str, value: String, known: &[(&str, T)]) -> Result<T> {
    match known.iter().find(|(text, _)| *text == value) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let known = known.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(", ");
            Err(wrong(name, &value, &format!("one of {known}")))
        }
    }
}

/// `redis:6379`, `[::1]:6379`; without a port, redis's own.
fn host_and_port(name: &str, text: &str) -> Result<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        // A colon of an IPv6 address stands before no port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (text, "6379"),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() => Ok((host.to_string(), port)),
        _ => Err(wrong(name, text, "a host and a port such as redis:6379")),
    }
}

fn wrong(name: &str, value: &str, wanted: &str) -> Error {
    invalid(format!("`{name}` is “{value}”, which is not {wanted}"))
}

fn invalid(why: String) -> Error {
    Error::new(Kind::ConfigInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dialect: Option<Dialect>, set: &[(&str, &str)]) -> Result<Variables> {
        Variables::read(dialect, |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    const UNIFIED: [(&str, &str); 6] = [
        ("TEST_KEY", "a5b50d5e"),
        ("IS_DIALER", "true"),
        ("REDIS_ADDR", "10.0.0.2:6380"),
        ("TRANSPORT", "tcp"),
        ("SECURE_CHANNEL", "noise"),
        ("MUXER", "yamux"),
    ];

    /// `UNIFIED` with one more, or with another value.
    fn unified(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut set = vec![(name, value)];
        set.extend(UNIFIED);
        set
    }

    #[test]
    fn each_suite_is_known_by_its_variables() {
        let ours = read(None, &UNIFIED).unwrap();
        assert_eq!((ours.dialect, ours.is_dialer), (Dialect::UnifiedTesting, true));
        assert_eq!(ours.key, "a5b50d5e_listener_multiaddr");
        assert_eq!(ours.redis, ("10.0.0.2".to_string(), 6380));
        assert_eq!(ours.limit, DEFAULT_LIMIT);
        assert!(ours.config().starts_with("[node]\nlisten = []\n"));
        let set = [("is_dialer", "false"), ("transport", "quic-v1"), ("test_timeout_secs", "7"), ("muxer", "null")];
        let ours = read(None, &set).unwrap();
        assert_eq!((ours.dialect, ours.is_dialer), (Dialect::TestPlans, false));
        assert_eq!((ours.key.as_str(), ours.limit), ("listenerAddr", Duration::from_secs(7)));
        assert_eq!(ours.redis, ("redis".to_string(), 6379));
        assert!(ours.config().contains("\"/ip4/0.0.0.0/udp/0/quic-v1\""));
        assert!(!ours.config().contains("[[security]]") && ours.notes.is_empty());
        let set = [
            ("is_dialer", "false"),
            ("transport", "wss"),
            ("security", "plaintext"),
            ("muxer", "mplex"),
            ("ip", "::1"),
        ];
        let config = read(Some(Dialect::TestPlans), &set).unwrap().config();
        assert!(config.contains("\"/ip6/::1/tcp/0/tls/ws\"") && config.contains("insecure = true"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let none: [(&str, &str); 0] = [];
        assert!(read(None, &none).unwrap_err().to_string().contains("TEST_KEY"));
        assert!(read(Some(Dialect::UnifiedTesting), &none).unwrap_err().to_string().contains("`TEST_KEY`"));
        assert!(read(Some(Dialect::TestPlans), &none).unwrap_err().to_string().contains("`is_dialer`"));
        for (name, _) in &UNIFIED[1..] {
            for value in ["", "null", "nonsense"] {
                let set: Vec<_> = UNIFIED.iter().map(|(key, v)| (*key, if key == name { value } else { v })).collect();
                // Any host will do.
                if (*name, value) == ("REDIS_ADDR", "nonsense") {
                    continue;
                }
                let error = read(None, &set).unwrap_err().to_string();
                assert!(error.contains(&format!("`{name}`")), "{name}={value}: {error}");
            }
        }
        for (name, value) in [("TEST_TIMEOUT_SECS", "0"), ("LISTENER_IP", "here"), ("REDIS_ADDR", "redis:x")] {
            let error = read(None, &unified(name, value)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}` is “{value}”")), "{error}");
        }
        let notes = read(None, &unified("TRANSPORT", "quic-v1")).unwrap().notes;
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn hosts_may_be_names_and_addresses() {
        let parsed = |text| host_and_port("REDIS_ADDR", text).unwrap();
        assert_eq!(parsed("redis"), ("redis".to_string(), 6379));
        assert_eq!(parsed("[::1]:7"), ("::1".to_string(), 7));
        assert_eq!(parsed("::1"), ("::1".to_string(), 6379));
        for text in [":1", "a:b", "a:0", "a:70000"] {
            assert!(host_and_port("REDIS_ADDR", text).is_err(), "{text}");
        }
    }
}
