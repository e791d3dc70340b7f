//! Questions and answers that carry their checksums, so that whatever arrives is known to be right or wrong.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{Error, Host, PeerId, Protocol, ProtocolId, Result, Stream, Violation};
use stackwire_node::Node;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Message;

const ASK: ProtocolId = ProtocolId::new("/sim/ask/1");

/// What arrived anywhere.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Counts>>);

#[derive(Clone, Copy, Default)]
struct Counts {
    right: u64,
    wrong: u64,
}

impl Record {
    /// Messages that arrived as they were sent.
    pub fn right(&self) -> u64 {
        self.0.lock().right
    }

    /// Messages that arrived whole and were not what anybody sent.
    pub fn wrong(&self) -> u64 {
        self.0.lock().wrong
    }
}

/// Serves. All nodes of a network share one [`Record`].
pub struct Witness(pub Record);

#[async_trait]
impl Protocol for Witness {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ASK]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let question = read(&mut stream, &self.0).await?;
        write(&mut stream, answer_to(question)).await
    }
}

/// Asks `peer`, and checks the answer, which is as long as the question.
pub async fn ask(node: &Node, peer: PeerId, question: Message, record: &Record) -> Result<()> {
    let mut stream = node.open_stream(peer, &[ASK]).await?;
    write(&mut stream, question).await?;
    let answer = read(&mut stream, record).await?;
    if answer.number == answer_to(question).number {
        return Ok(());
    }
    record.0.lock().wrong += 1;
    Err(Error::violated(Violation::WrongAnswer, "an answer to something else"))
}

fn answer_to(question: Message) -> Message {
    Message { number: !question.number, ..question }
}

/// The bytes of a message but for the checksum, which depends on all of them.
fn bytes(message: Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.length as usize + 20);
    bytes.extend_from_slice(&message.number.to_be_bytes());
    bytes.extend_from_slice(&message.length.to_be_bytes());
    bytes.extend((0..message.length).map(|i| (u64::from(i).wrapping_mul(message.number | 1) >> 3) as u8));
    bytes
}

/// FNV-1a: any one changed byte changes it.
fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

async fn write(stream: &mut Stream, message: Message) -> Result<()> {
    let mut bytes = bytes(message);
    bytes.extend_from_slice(&checksum(0, &bytes).to_be_bytes());
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn read(stream: &mut Stream, record: &Record) -> Result<Message> {
    let mut header = [0; 12];
    stream.read_exact(&mut header).await?;
    let mut sum = checksum(0, &header);
    let (number, length) = header.split_at(8);
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let length = length.iter().fold(0, |length, byte| length << 8 | u32::from(*byte));
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
    let told = stream.read_u64().await?;
    let mut counts = record.0.lock();
    if sum != told {
        counts.wrong += 1;
        return Err(Error::violated(Violation::BadProof, "a message with a wrong checksum"));
    }
    counts.right += 1;
    Ok(Message { number, length })
}
