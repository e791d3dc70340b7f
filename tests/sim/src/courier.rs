//! Load whose every message is accounted for: calls, bulk, and mail that nobody answers.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{Error, Host, PeerId, Protocol, ProtocolId, Result, Stream, Violation};
use stackwire_node::Node;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A call: its number and its length; the answer is the number and a checksum of what came.
const CALL: ProtocolId = ProtocolId::new("/sim/call/1");
/// Mail: the same without an answer.
const MAIL: ProtocolId = ProtocolId::new("/sim/mail/1");

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Names it; never used twice.
    pub number: u64,
    /// Bytes of its body.
    pub length: u32,
}

/// How often each message arrived anywhere.
#[derive(Clone, Default)]
pub struct Mail(Arc<Mutex<HashMap<u64, u32>>>);

impl Mail {
    fn arrived(&self, number: u64) {
        *self.0.lock().entry(number).or_default() += 1;
    }

    /// Messages that arrived, and those of them that arrived more than once.
    pub fn count(&self) -> (usize, Vec<u64>) {
        let all = self.0.lock();
        (all.len(), all.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect())
    }

    /// Whether this one arrived.
    pub fn has(&self, number: u64) -> bool {
        self.0.lock().contains_key(&number)
    }
}

/// Serves and sends. All nodes of a network share one [`Mail`].
pub struct Courier(pub Mail);

#[async_trait]
impl Protocol for Courier {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![CALL, MAIL]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let number = stream.read_u64().await?;
        let length = stream.read_u32().await?;
        let mut sum = 0;
        let mut left = length as usize;
        let mut buffer = [0; 4096];
        while left > 0 {
            let wanted = left.min(buffer.len());
            let n = stream.read(&mut buffer[..wanted]).await?;
            if n == 0 {
                return Err(Error::closed("a message ended early"));
            }
            sum = checksum(sum, &buffer[..n]);
            left -= n;
        }
        self.0.arrived(number);
        if *stream.protocol() == CALL {
            stream.write_u64(number ^ sum).await?;
            stream.shutdown().await?;
        }
        Ok(())
    }
}

fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
}

fn body(message: Message) -> Vec<u8> {
    (0..message.length).map(|i| (u64::from(i).wrapping_mul(message.number | 1) >> 3) as u8).collect()
}

/// Sends `message` to `peer` and waits for the answer.
pub async fn call(node: &Node, peer: PeerId, message: Message) -> Result<()> {
    let mut stream = node.open_stream(peer, &[CALL]).await?;
    let body = write(&mut stream, message).await?;
    let answer = stream.read_u64().await?;
    if answer != message.number ^ checksum(0, &body) {
        return Err(Error::violated(Violation::WrongAnswer, "an answer to something else"));
    }
    Ok(())
}

/// Sends `message` to `peer`, who does not answer.
pub async fn mail(node: &Node, peer: PeerId, message: Message) -> Result<()> {
    let mut stream = node.open_stream(peer, &[MAIL]).await?;
    write(&mut stream, message).await?;
    Ok(())
}

async fn write(stream: &mut Stream, message: Message) -> Result<Vec<u8>> {
    let body = body(message);
    stream.write_u64(message.number).await?;
    stream.write_u32(message.length).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    Ok(body)
}
