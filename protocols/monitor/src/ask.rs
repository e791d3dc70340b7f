//! How questions reach a peer. The logic knows this trait only, so that another wire can carry them.

use std::time::Duration;

use async_trait::async_trait;
use stackwire_core::{ConnectionId, Host, Pipe, Priority, ProtocolId, Result};

use crate::{
    ID,
    model::{Answer, Question},
    wire,
};

/// Carries questions.
#[async_trait]
pub(crate) trait Wire: Send + Sync + 'static {
    /// Asks the peer of `connection`. Returns its answer, which is one to the question, and how long it took.
    ///
    /// Fails with `NoCommonProtocol` where the peer can't be asked, `PeerMisbehaved` for anything malformed. Has no time limit
    /// of its own. Cancel-safe: a question that was given up costs nothing but itself.
    async fn ask(&self, host: &Host, connection: ConnectionId, question: Question) -> Result<(Answer, Duration)>;
}

/// Our own: a stream for each question.
pub(crate) struct Streams;

#[async_trait]
impl Wire for Streams {
    async fn ask(&self, host: &Host, connection: ConnectionId, question: Question) -> Result<(Answer, Duration)> {
        let mut stream = host.open_stream_on(connection, &[ProtocolId::new(ID)]).await?;
        // A ping that waits behind bulk data measures the bulk data.
        stream.set_priority(Priority::High);
        // From here on it is one round trip, whether the protocol has been agreed on by now or is in the answer's.
        let start = host.env().now();
        let answer = wire::ask(&mut stream, question).await?;
        Ok((answer, host.env().now().saturating_duration_since(start)))
    }
}
