//! Load whose every message is accounted for: numbered messages, which arrive in order, each once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stackwire_node::{Host, Node, PeerId, Protocol, ProtocolId, Result, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::sleep,
};

use crate::member::Member;

/// A stream has some messages, and then the receiver says how many have come.
const NUMBERS: ProtocolId = ProtocolId::new("/example/numbers/1.0.0");
/// Messages of a stream.
const BATCH: u64 = 20;
/// Bytes of a message: its number, then zeros.
const MESSAGE: usize = 256;
/// From one stream to the next.
const PAUSE: Duration = Duration::from_millis(2);

/// Who has sent, and who has received.
type Pair = (PeerId, &'static str);

#[derive(Clone, Default)]
pub struct Load(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    received: BTreeMap<Pair, Received>,
    senders: BTreeMap<Pair, JoinHandle<Sent>>,
    ended: bool,
}

/// What came from one sender.
#[derive(Clone, Copy, Default)]
struct Received {
    /// The number that comes next.
    next: u64,
    right: u64,
    doubled: u64,
}

/// What one sender has written.
#[derive(Default)]
struct Sent {
    messages: u64,
    /// Why the first stream that failed did.
    failure: Option<String>,
}

/// What became of the messages.
#[derive(Default)]
pub struct Figures {
    pub sent: u64,
    pub lost: u64,
    pub doubled: u64,
    failures: Vec<String>,
}

impl Figures {
    /// What is not as promised.
    pub fn problems(&self) -> Vec<String> {
        let Self { sent, lost, doubled, failures } = self;
        let mut problems = failures.clone();
        if *sent == 0 || lost + doubled > 0 {
            problems.push(format!("of {sent} messages {lost} are lost and {doubled} doubled"));
        }
        problems
    }
}

impl Load {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What validator `name` serves.
    pub fn receiver(&self, name: &'static str) -> Receiver {
        Receiver { name, load: self.clone() }
    }

    /// Has each of these send to each other, unless it does already, as long as it trusts it.
    pub fn send_among(&self, members: &[&Member]) {
        for from in members {
            for to in members.iter().filter(|to| to.name != from.name) {
                let (node, peer, load) = (from.node.clone(), to.node.peer_id(), self.clone());
                let pair = (node.peer_id(), to.name);
                self.books().senders.entry(pair).or_insert_with(|| tokio::spawn(load.send(node, peer)));
            }
        }
    }

    async fn send(self, from: Node, to: PeerId) -> Sent {
        let mut sent = Sent::default();
        while !self.books().ended && from.trust().current().of_peer(&to).is_some() {
            // What a stream that fails has lost is seen by who receives: the next one goes on behind it.
            if let Err(error) = batch(&from, to, sent.messages).await {
                sent.failure.get_or_insert_with(|| error.to_string());
            }
            sent.messages += BATCH;
            sleep(PAUSE).await;
        }
        sent
    }

    /// Ends it, and counts what these have sent to each other.
    pub async fn end(&self, members: &[&Member]) -> Figures {
        self.books().ended = true;
        let senders = std::mem::take(&mut self.books().senders);
        let mut figures = Figures::default();
        for ((from, to), sender) in senders {
            let sent = sender.await.unwrap_or_default();
            let Some(member) = members.iter().find(|it| it.node.peer_id() == from) else { continue };
            if members.iter().all(|it| it.name != to) {
                continue;
            }
            let received = self.books().received.get(&(from, to)).copied().unwrap_or_default();
            figures.sent += sent.messages;
            figures.lost += sent.messages.saturating_sub(received.right);
            figures.doubled += received.doubled;
            figures.failures.extend(sent.failure.map(|why| format!("{} to {to}: {why}", member.name)));
        }
        figures
    }
}

/// Sends a stream of messages whose numbers begin at `first`, and waits until all have come.
async fn batch(from: &Node, to: PeerId, first: u64) -> Result<()> {
    let mut stream = from.open_stream(to, &[NUMBERS]).await?;
    stream.write_u64(BATCH).await?;
    for number in first..first + BATCH {
        let mut message = [0; MESSAGE];
        message[..8].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&message).await?;
    }
    stream.shutdown().await?;
    match stream.read_u64().await? {
        BATCH => Ok(()),
        came => Err(stackwire_node::Error::closed(format!("{came} of {BATCH} messages have come"))),
    }
}

/// Takes what is sent to one validator.
pub struct Receiver {
    name: &'static str,
    load: Load,
}

#[async_trait::async_trait]
impl Protocol for Receiver {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![NUMBERS]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let pair = (stream.peer(), self.name);
        let messages = stream.read_u64().await?;
        for _ in 0..messages {
            let mut message = [0; MESSAGE];
            stream.read_exact(&mut message).await?;
            let number = message[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            let mut books = self.load.books();
            let received = books.received.entry(pair).or_default();
            match number < received.next {
                true => received.doubled += 1,
                false => (received.next, received.right) = (number + 1, received.right + 1),
            }
        }
        stream.write_u64(messages).await?;
        Ok(stream.shutdown().await?)
    }
}
