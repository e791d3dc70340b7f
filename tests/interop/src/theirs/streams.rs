//! What goes over their streams.

use std::{future::Future, io};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::try_join};
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::Control;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Ending, RESETS, Stack, Transport, WATCHES};

pub(super) const ECHO: &str = "/echo/1.0.0";
pub(super) const PERF: &str = "/perf/1.0.0";

/// Serves every protocol until `tasks` are dropped.
pub(super) fn serve_all(
    control: &Control,
    stack: Stack,
    ended: mpsc::UnboundedSender<Ending>,
    tasks: &mut JoinSet<()>,
) {
    serve(control, ECHO, tasks, send_back);
    serve(control, PERF, tasks, serve_perf);
    serve(control, RESETS, tasks, |mut stream| async move {
        // Dropping the stream is how they reset it.
        hear(&mut stream).await
    });
    serve(control, WATCHES, tasks, move |mut stream| {
        let ended = ended.clone();
        async move {
            hear(&mut stream).await?;
            say(&mut stream).await?;
            // Nobody listens any more only where the test has ended.
            let _ = ended.send(ending(&mut stream, stack).await);
            Ok(())
        }
    });
}

fn serve<F, Fut>(control: &Control, id: &'static str, tasks: &mut JoinSet<()>, each: F)
where
    F: Fn(Stream) -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut streams = control.clone().accept(StreamProtocol::new(id)).expect("nobody else serves it");
    tasks.spawn(async move {
        let mut serving = JoinSet::new();
        while let Some((_, stream)) = streams.next().await {
            // A failure is a reset to the other side, which says what it thinks of that.
            serving.spawn(each(stream));
        }
    });
}

async fn send_back(mut stream: Stream) -> io::Result<()> {
    let mut held = vec![0; 64 * 1024];
    loop {
        let n = stream.read(&mut held).await?;
        if n == 0 {
            return stream.close().await;
        }
        stream.write_all(&held[..n]).await?;
        stream.flush().await?;
    }
}

async fn serve_perf(mut stream: Stream) -> io::Result<()> {
    let mut download = [0; 8];
    stream.read_exact(&mut download).await?;
    discard(&mut stream).await?;
    send(&mut stream, u64::from_be_bytes(download)).await?;
    stream.close().await
}

/// The client of perf; says how much came down.
pub(super) async fn perf(mut stream: Stream, upload: u64, download: u64) -> io::Result<u64> {
    stream.write_all(&download.to_be_bytes()).await?;
    send(&mut stream, upload).await?;
    stream.close().await?;
    discard(&mut stream).await
}

async fn send(stream: &mut Stream, mut left: u64) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    while left > 0 {
        let n = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        stream.write_all(&zeros[..n]).await?;
        left -= n as u64;
    }
    Ok(())
}

async fn discard(stream: &mut Stream) -> io::Result<u64> {
    let mut held = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match stream.read(&mut held).await? {
            0 => return Ok(total),
            n => total += n as u64,
        }
    }
}

/// The client of echo; returns what came back. Ends its side as soon as all is sent, and reads meanwhile.
pub(super) async fn echo(stream: Stream, content: &[u8]) -> io::Result<Vec<u8>> {
    let (mut reading, mut writing) = stream.split();
    let mut back = Vec::new();
    let send = async {
        writing.write_all(content).await?;
        writing.close().await
    };
    try_join(send, reading.read_to_end(&mut back)).await?;
    Ok(back)
}

/// How a stream ends. To readers, both of their muxers show a reset as an end; only writing tells them apart. Their QUIC
/// does not.
pub(super) async fn ending(stream: &mut Stream, stack: Stack) -> Ending {
    match stream.read(&mut [0; 1]).await {
        Ok(0) if stack.transport == Transport::Quic => return Ending::Closed,
        Ok(0) => {}
        Ok(_) => return Ending::Other("data".into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ending::Reset,
        Err(error) => return Ending::Other(format!("{error:?}")),
    }
    match say(stream).await {
        Ok(()) => Ending::Closed,
        Err(error) if matches!(error.kind(), io::ErrorKind::WriteZero | io::ErrorKind::BrokenPipe) => Ending::Reset,
        Err(error) => Ending::Other(format!("{error:?}")),
    }
}

/// Sends a byte.
pub(super) async fn say(stream: &mut Stream) -> io::Result<()> {
    stream.write_all(&[1]).await?;
    stream.flush().await
}

/// Receives a byte.
pub(super) async fn hear(stream: &mut Stream) -> io::Result<()> {
    stream.read_exact(&mut [0; 1]).await
}

/// Ends our side, then waits for the end of the other, however it comes.
pub(super) async fn end(mut stream: Stream) -> io::Result<()> {
    stream.close().await?;
    // The other side may write to find out how it ended.
    stream.read_to_end(&mut Vec::new()).await.ok();
    Ok(())
}
