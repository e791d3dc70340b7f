//! The client's half of streams.

use std::{io, time::Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    contestant::{Connection, ContestStream},
    serve::{ECHO, GIVE, SINK, drain, write_content},
};

/// What an echo sends and the room for what comes back, made once for many.
pub(crate) struct Echo {
    /// The operation, then the payload.
    sent: Vec<u8>,
    back: Vec<u8>,
}

impl Echo {
    /// With a payload of `size` bytes, which is at least 1.
    pub(crate) fn new(size: usize) -> Self {
        let size = size.max(1);
        let mut sent = vec![b'.'; size + 1];
        sent[0] = ECHO;
        Self { sent, back: vec![0; size] }
    }

    /// A whole call: a stream of its own, the payload, the end; the payload back, the end.
    pub(crate) async fn call<C: Connection>(&mut self, connection: &C) -> io::Result<()> {
        let mut stream = connection.open().await?;
        stream.write_all(&self.sent).await?;
        stream.shutdown().await?;
        stream.read_exact(&mut self.back).await?;
        match stream.read(&mut self.back[..1]).await? {
            0 => Ok(()),
            _ => Err(io::Error::other("more came back than was sent")),
        }
    }

    /// Opens a stream for [`Echo::ping`], with one ping of it done.
    pub(crate) async fn open<C: Connection>(&mut self, connection: &C) -> io::Result<C::Stream> {
        let mut stream = connection.open().await?;
        stream.write_all(&self.sent).await?;
        stream.flush().await?;
        stream.read_exact(&mut self.back).await?;
        Ok(stream)
    }

    /// Sends the payload and waits until it is back.
    pub(crate) async fn ping<S: ContestStream>(&mut self, stream: &mut S) -> io::Result<()> {
        stream.write_all(&self.sent[1..]).await?;
        stream.flush().await?;
        stream.read_exact(&mut self.back).await?;
        Ok(())
    }

    /// As [`Echo::ping`]; returns the nanoseconds that it took.
    pub(crate) async fn timed_ping<S: ContestStream>(&mut self, stream: &mut S) -> io::Result<u64> {
        let start = Instant::now();
        self.ping(stream).await?;
        Ok(start.elapsed().as_nanos() as u64)
    }
}

/// Uploads `count` bytes on a stream of its own, and waits until the server has ended it.
pub(crate) async fn upload<C: Connection>(connection: &C, count: u64) -> io::Result<()> {
    let mut stream = connection.open().await?;
    stream.write_all(&[SINK]).await?;
    write_content(&mut stream, count).await?;
    stream.shutdown().await?;
    drain(&mut stream).await?;
    Ok(())
}

/// Downloads `count` bytes on a stream of its own, which it ends.
pub(crate) async fn download<C: Connection>(connection: &C, count: u64) -> io::Result<()> {
    let mut stream = connection.open().await?;
    stream.write_all(&give(count)).await?;
    stream.shutdown().await?;
    match drain(&mut stream).await? {
        n if n == count => Ok(()),
        n => Err(io::Error::other(format!("{n} bytes came instead of {count}"))),
    }
}

/// Uploads on a stream of its own without an end.
pub(crate) async fn upload_forever<C: Connection>(connection: &C) -> io::Result<()> {
    upload(connection, u64::MAX).await
}

/// Downloads on a stream of its own without an end.
pub(crate) async fn download_forever<C: Connection>(connection: &C) -> io::Result<()> {
    let mut stream = connection.open().await?;
    stream.write_all(&give(u64::MAX)).await?;
    stream.flush().await?;
    drain(&mut stream).await?;
    Ok(())
}

fn give(count: u64) -> [u8; 9] {
    let mut request = [GIVE; 9];
    request[1..].copy_from_slice(&count.to_be_bytes());
    request
}
