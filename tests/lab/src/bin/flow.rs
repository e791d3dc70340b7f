//! One end of a transfer, to be run inside a network namespace; see `stackwire_lab::Flow`.

#![allow(clippy::disallowed_methods, reason = "a program of the tests, on a runtime of its own")]

use std::{
    error::Error,
    net::SocketAddr,
    time::{Duration, Instant},
};

use socket2::SockRef;
use stackwire_core::{BoxPipe, Dial, Keypair, Listen, Listener, Stage, Transport, address};
use stackwire_transport_utp::Utp;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Nobody needs more; whoever started this and forgot it is not bothered for ever.
const LONGEST: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let work = async {
        match words[..] {
            ["sink", "tcp", ip] => {
                let listener = TcpListener::bind((ip, 0)).await?;
                println!("{}", listener.local_addr()?.port());
                count(listener.accept().await?.0).await
            }
            ["sink", "utp", ip] => {
                let mut listener = listen(ip).await?;
                let (socket, ..) = address::split_socket(&listener.addresses()[0]).ok_or("no socket")?;
                println!("{}", socket.port());
                count(raw(listener.accept().await?.open.await?.stage)).await
            }
            ["source", "tcp", to] => {
                let stream = TcpStream::connect(to).await?;
                // What most of the Internet runs. It fills queues; who runs something else by default, as some
                // machines do, would not see what this is about.
                SockRef::from(&stream).set_tcp_congestion(b"cubic")?;
                send(stream).await
            }
            ["source", "utp", to] => send(dial(to.parse()?).await?).await,
            _ => Err("flow sink tcp|utp ADDRESS, flow source tcp|utp ADDRESS:PORT".into()),
        }
    };
    tokio::time::timeout(LONGEST, work).await?
}

async fn listen(ip: &str) -> Result<Box<dyn Listener>, Box<dyn Error>> {
    let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
    let address = format!("/ip4/{ip}/udp/0/utp").parse()?;
    Ok(Utp::default().listen(Listen::new(&address, &identity, &env)).await?)
}

async fn dial(to: SocketAddr) -> Result<BoxPipe, Box<dyn Error>> {
    let (identity, env) = (Keypair::ed25519_from_seed([2; 32]), stackwire_conformance::env());
    let address = format!("/ip4/{}/udp/{}/utp", to.ip(), to.port()).parse()?;
    let dial = Dial::new(&address, &identity, &env);
    Ok(raw(Utp::default().dial(dial).await?.stage))
}

fn raw(stage: Stage) -> BoxPipe {
    match stage {
        Stage::Raw(pipe) => pipe,
        _ => unreachable!("uTP gives bytes"),
    }
}

async fn count(mut from: impl AsyncRead + Unpin) -> Result<(), Box<dyn Error>> {
    let (start, mut bytes, mut next) = (Instant::now(), 0u64, Duration::ZERO);
    let mut buffer = vec![0; 256 * 1024];
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read? {
                0 => return Ok(()),
                n => bytes += n as u64,
            },
            _ = tick.tick() => {}
        }
        let now = start.elapsed();
        if now >= next {
            println!("{} {bytes}", now.as_secs_f64());
            next = now + Duration::from_millis(500);
        }
    }
}

async fn send(mut to: impl AsyncWrite + Unpin) -> Result<(), Box<dyn Error>> {
    let data = vec![7; 64 * 1024];
    loop {
        to.write_all(&data).await?;
    }
}
