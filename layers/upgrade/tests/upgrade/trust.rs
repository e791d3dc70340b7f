//! Trusted peers reach the security protocol, and its claims reach the muxer and the top.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{
    BoxPipe, Claims, Driver, Error, Kind, Multiplexed, Muxer, MuxerContext, PeerRole, ProtocolId, PublicKey, Result,
    Role, SecuredPipe, Security, SecurityContext, Session, Stage, Trust,
    trust::{AccountId, TrustedPeer},
};
use stackwire_upgrade::Upgrader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stacks::{arrived, error, key, muxer, stack, start, upgrade};

/// A chain's security protocol: each side shows its key as it is, and only who is trusted gets in.
struct Badges;

#[async_trait]
impl Security for Badges {
    fn name(&self) -> &'static str {
        "badges"
    }
    fn id(&self) -> ProtocolId {
        "/badges".into()
    }
    async fn handshake(&self, mut pipe: BoxPipe, _: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let ours = context.identity.public().x25519().expect("an Ed25519 key has that form");
        pipe.write_all(&ours).await?;
        pipe.flush().await?;
        let mut theirs = [0; 32];
        pipe.read_exact(&mut theirs).await?;
        let trusted = context.trust.map(Trust::current).unwrap_or_default();
        let Some(peer) = trusted.holders(&theirs).next() else {
            return Err(Error::new(Kind::AuthenticationFailed, "a badge that nobody trusts"));
        };
        let claims = Claims::default().with_role(peer.role).with_account(peer.account.clone());
        Ok(SecuredPipe::new(pipe, PublicKey::X25519(theirs)).with_claims(claims.with_chain(7, None)))
    }
}

/// Another muxer, which keeps what it is told.
struct Noting(Arc<dyn Muxer>, Mutex<Vec<Claims>>);

impl Muxer for Noting {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn id(&self) -> ProtocolId {
        self.0.id()
    }
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        self.1.lock().push(context.claims.clone());
        self.0.start(pipe, context)
    }
}

fn badged(seed: u8, trust: Option<&Trust>, muxer: &Arc<Noting>) -> Upgrader {
    let mut stack = stack(seed, &[], &["mplex"]);
    stack.securities = vec![Arc::new(Badges)];
    stack.muxers = vec![muxer.clone()];
    stack.trust = trust.cloned();
    stack
}

fn listed(seed: u8, role: PeerRole) -> TrustedPeer {
    let account = AccountId::new(&[seed; 16]).expect("16 bytes are fine");
    let keys = [key(seed).public().x25519().expect("an Ed25519 key has that form")].into();
    TrustedPeer { account: Some(account), keys, role, ..TrustedPeer::default() }
}

#[tokio::test(start_paused = true)]
async fn the_trusted_set_decides_and_the_claims_arrive() {
    let trust = Trust::default();
    let muxer = Arc::new(Noting(muxer("mplex"), Mutex::default()));
    let (dialer, listener) = (badged(1, Some(&trust), &muxer), badged(2, Some(&trust), &muxer));
    // Who discovers the peers of the chain need not know who asks.
    trust.replace("chain", [listed(1, PeerRole::Downstream), listed(2, PeerRole::Validator)]).expect("two are few");
    let [up, down] = arrived(upgrade(&dialer, &listener).await);
    for (side, seed, role) in [(&up, 2, PeerRole::Validator), (&down, 1, PeerRole::Downstream)] {
        assert_eq!((side.claims.account.clone(), side.claims.role), (listed(seed, role).account, role));
        assert_eq!(side.claims.chain, Some(7));
        assert!(muxer.1.lock().contains(&side.claims), "the muxer was told, too");
    }
    trust.replace("chain", [listed(2, PeerRole::Validator)]).expect("one is few");
    let (_, refused) = upgrade(&dialer, &listener).await;
    assert_eq!(error(refused).kind(), &Kind::AuthenticationFailed);
    let (refused, _) = upgrade(&badged(1, None, &muxer), &listener).await;
    assert_eq!(error(refused).kind(), &Kind::AuthenticationFailed, "nobody is trusted where nothing says so");
}

#[tokio::test(start_paused = true)]
async fn what_a_transport_brings_along_keeps_its_claims() {
    let stack = stack(1, &["noise"], &["mplex"]);
    let claims = Claims::default().with_role(PeerRole::Upstream).with_protocols(["/a".into()]);
    let peer = || key(2).public().clone();
    let (pipe, _other) = stackwire_conformance::pipes::pair();
    let secured = SecuredPipe::new(pipe, peer()).with_muxer(muxer("mplex").id()).with_claims(claims.clone());
    let (pipe, _other) = stackwire_conformance::pipes::pair();
    let (session, driver) = muxer("mplex").start(pipe, MuxerContext::new(Role::Dialer, &stack.env));
    let multiplexed = Multiplexed::new(peer(), session, driver).with_claims(claims.clone());
    for stage in [Stage::Secured(secured), Stage::Multiplexed(multiplexed)] {
        let upgraded = stack.upgrade(start(&stack, stage, Role::Dialer)).await.map_err(|e| e.to_string());
        assert_eq!(upgraded.map(|upgraded| upgraded.claims), Ok(claims.clone()));
    }
}
