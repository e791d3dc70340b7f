//! Echo, as a protocol of a user of `litep2p`: raw bytes, with half-close.

use std::{collections::HashMap, io};

use async_trait::async_trait;
use futures::StreamExt;
use litep2p::{
    PeerId, ProtocolName,
    codec::ProtocolCodec,
    protocol::{Direction, TransportEvent, TransportService, UserProtocol},
    substream::Substream,
    types::SubstreamId,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::ECHO;

/// Somebody wants `content` back from `peer`.
pub(crate) struct Request {
    pub(crate) peer: PeerId,
    pub(crate) content: Vec<u8>,
    pub(crate) answer: oneshot::Sender<io::Result<Vec<u8>>>,
}

pub(crate) struct Echo {
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
}

#[async_trait]
impl UserProtocol for Echo {
    fn protocol(&self) -> ProtocolName {
        ProtocolName::from(ECHO)
    }

    fn codec(&self) -> ProtocolCodec {
        ProtocolCodec::Unspecified
    }

    async fn run(mut self: Box<Self>, mut service: TransportService) -> litep2p::Result<()> {
        let mut opening = HashMap::<SubstreamId, Request>::new();
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                Some(request) = self.requests.recv() => match service.open_substream(request.peer) {
                    Ok(id) => drop(opening.insert(id, request)),
                    Err(error) => answer(request, Err(io::Error::other(format!("{error:?}")))),
                },
                event = service.next() => match event {
                    Some(TransportEvent::SubstreamOpened { direction, substream, .. }) => match direction {
                        Direction::Inbound => drop(streams.spawn(async { drop(send_back(substream).await) })),
                        Direction::Outbound(id) => if let Some(request) = opening.remove(&id) {
                            streams.spawn(async {
                                let back = exchange(substream, &request.content).await;
                                answer(request, back);
                            });
                        },
                    },
                    Some(TransportEvent::SubstreamOpenFailure { substream, error }) => {
                        if let Some(request) = opening.remove(&substream) {
                            answer(request, Err(io::Error::other(format!("{error:?}"))));
                        }
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }
}

fn answer(request: Request, back: io::Result<Vec<u8>>) {
    // Nobody waits any more only where the test has ended.
    let _ = request.answer.send(back);
}

async fn send_back(mut stream: Substream) -> io::Result<()> {
    let mut held = vec![0; 64 * 1024];
    loop {
        let n = stream.read(&mut held).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&held[..n]).await?;
        stream.flush().await?;
    }
}

/// Ends its side as soon as all is sent, and reads meanwhile.
async fn exchange(stream: Substream, content: &[u8]) -> io::Result<Vec<u8>> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut back = Vec::new();
    let send = async {
        writing.write_all(content).await?;
        writing.shutdown().await
    };
    tokio::try_join!(send, reading.read_to_end(&mut back))?;
    Ok(back)
}
