//! Our side of handshakes: configs for quinn.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt,
    congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig},
    crypto::{
        HandshakeTokenKey,
        rustls::{QuicClientConfig, QuicServerConfig},
    },
};
use rustls::crypto::CryptoProvider;
use stackwire_certificate::{Certificates, Clock, Proofs, Settings, Verifier, provider};
use stackwire_core::{Env, Error, Keypair, Kind, PeerId, Result};

use crate::{
    Congestion, QuicConfig,
    keys::ResetKey,
    progress::Counting,
    runtime::{Ids, WallClock},
};

/// What a connection is for.
pub(crate) const ALPN: &str = "libp2p";
/// Packets of one handshake that wait until it is accepted: no honest dialer sends more before it has an answer.
const INCOMING_BYTES: u64 = 64 * 1024;
/// The same of all handshakes of a socket.
const INCOMING_BYTES_TOTAL: u64 = 16 * 1024 * 1024;

/// What all connections of a transport have in common.
pub(crate) struct Party {
    pub(crate) config: QuicConfig,
    provider: Arc<CryptoProvider>,
    certificates: Mutex<Certificates>,
    proofs: Arc<Proofs>,
    /// For connections over a network, and within this machine.
    far: Arc<TransportConfig>,
    near: Arc<TransportConfig>,
}

impl Party {
    pub(crate) fn new(config: QuicConfig) -> Self {
        let provider = Arc::new(provider());
        Self {
            config,
            proofs: Arc::new(Proofs::new(provider.signature_verification_algorithms)),
            provider,
            certificates: Mutex::default(),
            far: Arc::new(transport_config(&config, config.max_udp_payload)),
            near: Arc::new(transport_config(&config, config.largest_payload())),
        }
    }

    fn transport(&self, remote: SocketAddr) -> Arc<TransportConfig> {
        if remote.ip().to_canonical().is_loopback() { self.near.clone() } else { self.far.clone() }
    }

    /// What one handshake uses.
    pub(crate) fn settings(&self, identity: &Keypair, expected: Option<PeerId>, env: &Env) -> Result<Settings> {
        let certificate = self.certificates.lock().get(identity, &self.provider)?;
        let verifier = Verifier::remembering(self.proofs.clone(), expected);
        Ok(Settings {
            provider: self.provider.clone(),
            certificate,
            verifier: Arc::new(verifier),
            alpn: vec![ALPN.as_bytes().to_vec()],
            env: env.clone(),
        })
    }

    /// The dialer's side of one handshake with `remote`.
    pub(crate) fn client(&self, settings: &Settings, remote: SocketAddr) -> Result<ClientConfig> {
        let tls = settings.client().map_err(failed)?;
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(failed)?));
        config.transport_config(self.transport(remote));
        Ok(config)
    }

    /// The listener's side of one handshake with `remote`; `token_key` is that of its socket.
    pub(crate) fn server(
        &self,
        settings: &Settings,
        remote: SocketAddr,
        token_key: &Arc<dyn HandshakeTokenKey>,
    ) -> Result<ServerConfig> {
        let tls = settings.server().map_err(failed)?;
        let crypto = Arc::new(QuicServerConfig::try_from(tls).map_err(failed)?);
        let mut config = ServerConfig::new(crypto, token_key.clone());
        config
            .transport_config(self.transport(remote))
            .time_source(Arc::new(WallClock(Clock(settings.env.clone()))))
            .max_incoming(self.config.backlog.into())
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
        Ok(config)
    }

    /// The config of a socket.
    pub(crate) fn endpoint(&self, env: &Env) -> Result<EndpointConfig> {
        let mut config = EndpointConfig::new(Arc::new(ResetKey::new(env)));
        let ids = env.clone();
        config.rng_seed(Some(env.random())).cid_generator(move || Box::new(Ids(ids.clone())));
        // Peers may find a path to be larger than what we would try.
        let payload = self.config.largest_payload().max(1472);
        config.max_udp_payload_size(payload).map_err(failed)?;
        Ok(config)
    }

    /// How long a handshake may take.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.config.handshake_timeout_secs.into())
    }

    /// How long a peer may acknowledge nothing of what was sent.
    pub(crate) fn ack_timeout(&self) -> Option<Duration> {
        Some(self.config.ack_timeout_secs).filter(|secs| *secs > 0).map(|secs| Duration::from_secs(secs.into()))
    }

    /// How many bytes streams that nobody reads may keep beside the window of their connection.
    pub(crate) fn most_kept(&self) -> usize {
        self.config.connection_window as usize / 3
    }

    /// How long a peer may be silent.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.config.idle_timeout_secs.into())
    }
}

fn transport_config(config: &QuicConfig, payload: u16) -> TransportConfig {
    let seconds = |secs: u32| Duration::from_secs(secs.into());
    let mut transport = TransportConfig::default();
    // More milliseconds than a variable-length integer holds can't be written in 32 bits of seconds.
    transport.max_idle_timeout(IdleTimeout::try_from(seconds(config.idle_timeout_secs)).ok());
    transport.keep_alive_interval((config.keep_alive_secs > 0).then(|| seconds(config.keep_alive_secs)));
    transport.max_concurrent_bidi_streams(VarInt::from_u32(config.max_streams));
    // libp2p has no use for them.
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.stream_receive_window(VarInt::from_u32(config.stream_window));
    transport.receive_window(VarInt::from_u32(config.connection_window));
    transport.send_window(config.connection_window.into());
    let datagrams = config.datagram_buffer as usize;
    transport.datagram_receive_buffer_size((datagrams > 0).then_some(datagrams));
    transport.datagram_send_buffer_size(datagrams);
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(payload);
    transport.mtu_discovery_config(Some(discovery));
    transport.congestion_controller_factory(Arc::new(Counting(congestion(config.congestion, payload))));
    transport
}

/// A controller that begins with ten of the largest packets (RFC 9002, section 7.2): fewer than two would let a probe of
/// the path hold up everything else, a close too.
fn congestion(congestion: Congestion, payload: u16) -> Arc<dyn ControllerFactory + Send + Sync> {
    let window = 10 * u64::from(payload);
    match congestion {
        Congestion::Cubic => {
            let mut config = CubicConfig::default();
            config.initial_window(window);
            Arc::new(config)
        }
        Congestion::Bbr => {
            let mut config = BbrConfig::default();
            config.initial_window(window);
            Arc::new(config)
        }
        Congestion::NewReno => {
            let mut config = NewRenoConfig::default();
            config.initial_window(window);
            Arc::new(config)
        }
    }
}

fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Internal, "setting up QUIC").caused_by(cause)
}
