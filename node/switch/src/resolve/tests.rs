//! Names, who may name what, and bounds.

use std::{collections::HashMap, net::IpAddr};

use async_trait::async_trait;
use stackwire_core::address::Reach;

use std::sync::Arc;

use super::*;
use crate::TokioRuntime;

#[derive(Clone, Default)]
struct Fake {
    ips: HashMap<&'static str, Vec<&'static str>>,
    texts: HashMap<&'static str, Vec<String>>,
}

#[async_trait]
impl Lookup for Fake {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        let found = self.ips.get(name).ok_or_else(|| unresolved(name))?;
        Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())
    }
    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.texts.get(name).cloned().ok_or_else(|| unresolved(name))
    }
}

const A: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
const B: &str = "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY";

type Found = Vec<Result<Candidate, AddressFailure>>;

/// All candidates, in the order they come.
async fn all(lookup: &(impl Lookup + Clone), named: &[(&str, Origin)], peer: Option<PeerId>, own: &str) -> Found {
    let env = Env::new(TokioRuntime::new()).with_lookup(Arc::new(lookup.clone()));
    let own = if own.is_empty() { Vec::new() } else { vec![own.parse().unwrap()] };
    let mut resolver = Resolver::new(&env, Duration::from_secs(15), peer, own);
    for (text, origin) in named {
        resolver.add(Named { address: text.parse().unwrap(), origin: *origin });
    }
    let mut found = Vec::new();
    while !resolver.is_done() {
        match resolver.next().await {
            Some(Next::First(one) | Next::Last(one)) => found.push(one),
            None => {}
        }
    }
    found
}

async fn resolved(fake: &Fake, text: &str) -> Vec<String> {
    let (bare, peer) = address::split_peer(&text.parse().unwrap());
    let found = all(fake, &[(&bare.to_string(), Origin::Operator)], peer, "").await;
    found.into_iter().map(|one| one.unwrap().address.to_string()).collect()
}

#[tokio::test]
async fn hosts_by_family_in_turns() {
    let fake =
        Fake { ips: HashMap::from([("h", vec!["10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.1"])]), ..Fake::default() };
    assert_eq!(resolved(&fake, "/dns4/h/tcp/1").await, ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]);
    assert_eq!(resolved(&fake, "/dns6/h/tcp/1").await, ["/ip6/fd00::1/tcp/1"]);
    assert_eq!(
        resolved(&fake, "/dns/h/tcp/1").await,
        ["/ip6/fd00::1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]
    );
    assert_eq!(resolved(&fake, "/ip4/1.2.3.4/tcp/1").await, ["/ip4/1.2.3.4/tcp/1"]);
}

#[tokio::test]
async fn tls_keeps_the_name() {
    let fake = Fake { ips: HashMap::from([("h", vec!["10.0.0.1"])]), ..Fake::default() };
    let expected = ["/ip4/10.0.0.1/tcp/443/tls/sni/h/ws"];
    assert_eq!(resolved(&fake, "/dns/h/tcp/443/tls/ws").await, expected);
    assert_eq!(resolved(&fake, "/dns/h/tcp/443/wss").await, expected);
    assert_eq!(resolved(&fake, "/dns/h/tcp/443/tls/sni/x/ws").await, ["/ip4/10.0.0.1/tcp/443/tls/sni/x/ws"]);
    assert_eq!(resolved(&fake, "/dns4/h/tcp/80/ws").await, ["/ip4/10.0.0.1/tcp/80/sni/h/ws"]);
}

#[tokio::test]
async fn dnsaddr_follows_records_of_the_wanted_peer() {
    let fake = Fake {
        ips: HashMap::from([("h", vec!["10.0.0.1"])]),
        texts: HashMap::from([
            (
                "_dnsaddr.boot",
                vec![
                    format!("dnsaddr=/dnsaddr/one.boot/p2p/{A}"),
                    format!("dnsaddr=/ip4/10.9.9.9/tcp/1/p2p/{B}"),
                    "unrelated".to_string(),
                ],
            ),
            ("_dnsaddr.one.boot", vec![format!("dnsaddr=/dns4/h/tcp/4001/p2p/{A}")]),
        ]),
    };
    assert_eq!(resolved(&fake, &format!("/dnsaddr/boot/p2p/{A}")).await, ["/ip4/10.0.0.1/tcp/4001"]);
    assert_eq!(resolved(&fake, "/dnsaddr/boot").await, ["/ip4/10.9.9.9/tcp/1", "/ip4/10.0.0.1/tcp/4001"]);
}

#[tokio::test]
async fn a_loop_of_records_ends() {
    let fake =
        Fake { texts: HashMap::from([("_dnsaddr.a", vec!["dnsaddr=/dnsaddr/a".to_string(); 8])]), ..Fake::default() };
    let found = all(&fake, &[("/dnsaddr/a", Origin::Operator)], None, "").await;
    let [Err(failure)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(failure.error.kind(), &Kind::Unreachable);
}

/// Who may name what, once names are resolved: by the origin of the name, never by what the name looks like.
#[tokio::test]
async fn names_lead_no_further_than_who_named_them_may() {
    let peer = |reach| Origin::Peer(reach);
    let fake = Fake {
        ips: HashMap::from([
            ("public", vec!["9.9.9.9"]),
            ("private", vec!["10.0.0.1"]),
            ("loopback", vec!["127.0.0.1"]),
            ("mapped", vec!["::ffff:127.0.0.1"]),
            ("metadata", vec!["169.254.169.254"]),
            ("unspecified", vec!["0.0.0.0"]),
        ]),
        texts: HashMap::from([
            ("_dnsaddr.unix", vec!["dnsaddr=/unix/run/docker.sock".to_string(), format!("dnsaddr=/unix/x/p2p/{A}")]),
            ("_dnsaddr.memory", vec!["dnsaddr=/memory/1".to_string()]),
            ("_dnsaddr.loopback", vec!["dnsaddr=/ip4/127.0.0.1/tcp/1".to_string()]),
            ("_dnsaddr.chain", vec!["dnsaddr=/dns4/loopback/tcp/1".to_string()]),
            ("_dnsaddr.path", vec!["dnsaddr=/ip4/9.9.9.9/tcp/1/x-parity-ws/%2fadmin".to_string()]),
        ]),
    };
    // Each with the nearest peer that may name it, if any, and whether the operator may.
    for (name, nearest, operator) in [
        ("/dns4/public/tcp/1", Some(Reach::World), true),
        ("/dns4/private/tcp/1", Some(Reach::Network), true),
        ("/dns4/loopback/tcp/1", Some(Reach::Machine), true),
        ("/dns6/mapped/tcp/1", Some(Reach::Machine), true),
        ("/dns4/metadata/tcp/80", Some(Reach::Link), true),
        ("/dns4/unspecified/tcp/1", None, false),
        ("/dnsaddr/unix", None, false),
        ("/dnsaddr/memory", Some(Reach::Process), false),
        ("/dnsaddr/loopback", Some(Reach::Machine), true),
        ("/dnsaddr/chain", Some(Reach::Machine), true),
        ("/dnsaddr/path", None, true),
        ("/unix/run/docker.sock", None, true),
        ("/ip4/127.0.0.1/tcp/1", Some(Reach::Machine), true),
    ] {
        for teller in [Reach::Process, Reach::Machine, Reach::Link, Reach::Network, Reach::World] {
            let found = all(&fake, &[(name, peer(teller))], None, "").await;
            let expected = nearest.is_some_and(|nearest| nearest >= teller);
            assert_eq!(found.iter().any(Result::is_ok), expected, "{teller:?} names {name}: {found:?}");
            assert!(!found.is_empty(), "a refusal is told");
        }
        let found = all(&fake, &[(name, Origin::Operator)], None, "").await;
        assert_eq!(found.iter().any(Result::is_ok), operator, "the operator names {name}: {found:?}");
        let told = found.into_iter().filter_map(Result::err).map(|failure| failure.error.to_string());
        told.for_each(|told| assert!(told.contains("is not dialed"), "{told}"));
    }
}

#[tokio::test]
async fn where_we_listen_is_ourselves() {
    let own = "/ip4/127.0.0.1/tcp/1";
    let fake = Fake { ips: HashMap::from([("me", vec!["127.0.0.1"])]), ..Fake::default() };
    for name in [own, "/dns4/me/tcp/1"] {
        let found = all(&fake, &[(name, Origin::Operator)], None, own).await;
        let [Err(failure)] = &found[..] else { panic!("{found:?}") };
        assert!(failure.error.to_string().contains("listens itself"), "{}", failure.error);
    }
    assert!(all(&fake, &[("/dns4/me/tcp/2", Origin::Operator)], None, own).await[0].is_ok());
}

/// Answers after so many seconds as the name says.
#[derive(Clone)]
struct Slow;

#[async_trait]
impl Lookup for Slow {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        tokio::time::sleep(Duration::from_secs(name.parse().unwrap())).await;
        Ok(vec![IpAddr::from([9, 9, 9, name.parse().unwrap()])])
    }
    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        Err(unresolved(name))
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_resolved_side_by_side_behind_literal_addresses() {
    let begin = tokio::time::Instant::now();
    let named: Vec<String> = [5, 3, 40, 1].iter().map(|secs| format!("/dns4/{secs}/tcp/1")).collect();
    let mut named: Vec<_> = named.iter().map(|name| (name.as_str(), Origin::Operator)).collect();
    named.push(("/ip4/8.8.8.8/tcp/1", Origin::Operator));
    let found = all(&Slow, &named, None, "").await;
    let found: Vec<_> = found.into_iter().map(|one| one.map(|one| one.address.to_string())).collect();
    let ok = |text: &str| Ok(text.to_string());
    assert_eq!(found[..4], ["8.8.8.8", "9.9.9.1", "9.9.9.3", "9.9.9.5"].map(|ip| ok(&format!("/ip4/{ip}/tcp/1"))));
    let failure = found[4].as_ref().unwrap_err();
    assert!(matches!(failure.error.kind(), Kind::Timeout { .. }), "{}", failure.error);
    assert_eq!(begin.elapsed(), Duration::from_secs(15), "as long as the slowest may take, and not their sum");
}

#[tokio::test]
async fn all_work_is_bounded() {
    let fake = Fake { ips: HashMap::from([("h", vec!["9.9.9.9"])]), ..Fake::default() };
    let many: Vec<String> = (1..600).map(|port| format!("/dns4/h/tcp/{port}")).collect();
    let named: Vec<_> = many.iter().map(|name| (name.as_str(), Origin::Operator)).collect();
    let found = all(&fake, &named, None, "").await;
    assert_eq!(found.iter().filter(|one| one.is_ok()).count(), MAX_ADDRESSES);
    assert!(found.len() <= MAX_ROOTS);
}
