//! A node of the published crate `libp2p` as a program of its own.
//!
//! ```text
//! rust_peer listen TRANSPORT SECURITY MUXER        prints its address, serves until its input ends
//! rust_peer dial TRANSPORT SECURITY MUXER ADDRESS  connects, asks who it is, pings, measures, asks for an echo
//! ```
//!
//! What should work and does not is a panic.

use std::env;

use stackwire_interop::{Muxer, Peer, Security, Stack, Theirs, Transport, in_time};
use stackwire_node::{Multiaddr, address};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["listen", transport, security, muxer] => serve(stack(transport, security, muxer)).await,
        ["dial", transport, security, muxer, address] => {
            dial(stack(transport, security, muxer), address.parse().expect("an address")).await;
        }
        _ => panic!("listen|dial TRANSPORT SECURITY MUXER [ADDRESS]"),
    }
}

fn stack(transport: &str, security: &str, muxer: &str) -> Stack {
    Stack {
        transport: match transport {
            "tcp" => Transport::Tcp,
            "ws" => Transport::Ws,
            "quic" => Transport::Quic,
            other => panic!("no transport {other}"),
        },
        security: match security {
            "noise" => Security::Noise,
            "tls" => Security::Tls,
            "-" => Security::BuiltIn,
            other => panic!("no security {other}"),
        },
        muxer: match muxer {
            "yamux" => Muxer::Yamux,
            "mplex" => Muxer::Mplex,
            "-" => Muxer::BuiltIn,
            other => panic!("no muxer {other}"),
        },
    }
}

async fn serve(stack: Stack) {
    let node = in_time("starting", Theirs::start(stack)).await;
    println!("{}", address::with_peer(&node.address(), node.id()));
    // Whoever started it has no more use for it.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

async fn dial(stack: Stack, address: Multiaddr) {
    let node = in_time("starting", Theirs::start(stack)).await;
    let peer = address::split_peer(&address).1.expect("the address ends with the peer");
    in_time("connecting", node.connect(address)).await;
    let told = in_time("asking who it is", node.told(peer)).await;
    for _ in 0..3 {
        in_time("pinging", node.ping(peer)).await;
    }
    in_time("measuring", node.perf(peer, 1 << 20, 1 << 20)).await;
    in_time("asking for an echo", node.echo(peer, 1 << 20)).await;
    in_time("asking for what there is not", node.is_refused(peer)).await;
    in_time("pinging again", node.ping(peer)).await;
    println!("{} {}", told.agent, told.protocols.join(" "));
    in_time("closing", node.disconnect(peer)).await;
}
