//! Every transport × security × muxer that the published crate `libp2p` shares with us: we dial, they dial, and they
//! dial each other to show that the test is fair.

use stackwire_interop::{
    Muxer::{self, Mplex, Yamux},
    Ours,
    Security::{self, Noise, Plaintext, Tls},
    Stack, Theirs,
    Transport::*,
    in_time, meet,
};

macro_rules! cells {
    ($($name:ident: $transport:ident, $security:path, $muxer:path;)+) => {$(
        mod $name {
            use super::*;

            const STACK: Stack = Stack { transport: $transport, security: $security, muxer: $muxer };

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn we_dial() {
                let theirs = in_time("starting", Theirs::start(STACK)).await;
                meet(STACK, &Ours::start(STACK).await, &theirs).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn they_dial() {
                let theirs = in_time("starting", Theirs::start(STACK)).await;
                meet(STACK, &theirs, &Ours::start(STACK).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn they_dial_each_other() {
                let (one, other) = (Theirs::start(STACK), Theirs::start(STACK));
                meet(STACK, &in_time("starting", one).await, &in_time("starting", other).await).await;
            }
        }
    )+};
}

cells! {
    tcp_noise_yamux: Tcp, Noise, Yamux;
    tcp_noise_mplex: Tcp, Noise, Mplex;
    tcp_tls_yamux: Tcp, Tls, Yamux;
    tcp_tls_mplex: Tcp, Tls, Mplex;
    tcp_plaintext_yamux: Tcp, Plaintext, Yamux;
    tcp_plaintext_mplex: Tcp, Plaintext, Mplex;
    ws_noise_yamux: Ws, Noise, Yamux;
    ws_noise_mplex: Ws, Noise, Mplex;
    ws_tls_yamux: Ws, Tls, Yamux;
    ws_tls_mplex: Ws, Tls, Mplex;
    ws_plaintext_yamux: Ws, Plaintext, Yamux;
    ws_plaintext_mplex: Ws, Plaintext, Mplex;
    quic: Quic, Security::BuiltIn, Muxer::BuiltIn;
}
