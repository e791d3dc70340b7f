//! Their lower layers: transport, security, muxer.

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport, Transport, upgrade::Authenticated},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    noise, plaintext, quic, tcp, tls, websocket, yamux,
};

use crate::{Muxer, Security, Stack, Transport as Bytes};

/// The layers of `stack`, in the order and with the versions that their own `SwarmBuilder` chooses.
pub(super) fn transport(stack: Stack, key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    if stack.transport == Bytes::Quic {
        let quic = quic::tokio::Transport::new(quic::Config::new(key));
        return quic.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))).boxed();
    }
    // TCP under DNS goes last: it takes any address that begins with a name.
    let bytes = OrTransport::new(websocket::Config::new(by_name()), by_name()).upgrade(Version::V1Lazy);
    match stack.security {
        Security::Noise => {
            let noise = noise::Config::new(key).expect("a key makes a Noise identity");
            multiplex(bytes.authenticate(noise), stack.muxer)
        }
        Security::Tls => {
            let tls = tls::Config::new(key).expect("a key makes a certificate");
            multiplex(bytes.authenticate(tls), stack.muxer)
        }
        Security::Plaintext => multiplex(bytes.authenticate(plaintext::Config::new(key)), stack.muxer),
        Security::BuiltIn => panic!("TCP and WebSocket bring no security along"),
    }
}

fn by_name() -> dns::tokio::Transport<tcp::tokio::Transport> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    dns::tokio::Transport::system(tcp).expect("the machine has a resolver's config")
}

fn multiplex<T, C>(authenticated: Authenticated<T>, muxer: Muxer) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output = (PeerId, C)> + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
    T::Error: Send + Sync + 'static,
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match muxer {
        Muxer::Yamux => authenticated.multiplex(yamux::Config::default()).boxed(),
        Muxer::Mplex => authenticated.multiplex(libp2p_mplex::Config::default()).boxed(),
        Muxer::BuiltIn => panic!("TCP and WebSocket bring no muxer along"),
    }
}
