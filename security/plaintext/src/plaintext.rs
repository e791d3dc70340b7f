//! The exchange.

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Error, Kind, Layer, ProtocolId, PublicKey, Result, Role, SecuredPipe, Security, SecurityContext,
    read_delimited, write_delimited,
};
use tokio::io::AsyncWriteExt;

use crate::wire::{Exchange, MAX_EXCHANGE, exchange_of, peer_of};

/// The security protocol that is none: both sides say who they are and are believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plaintext;

impl Plaintext {
    /// The name configs use.
    pub const NAME: &'static str = "plaintext";
    /// The id on the wire.
    pub const ID: &'static str = "/plaintext/2.0.0";
}

#[async_trait]
impl Security for Plaintext {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> ProtocolId {
        Self::ID.into()
    }

    /// Afterwards the pipe is the one that was handed in, with nothing read beyond the peer's message.
    async fn handshake(&self, mut pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let (peer, round_trips) =
            exchange(&mut pipe, role, &context).await.map_err(|e| e.at(Layer::Security, Self::NAME))?;
        Ok(SecuredPipe::new(pipe, peer).after(round_trips))
    }
}

/// The dialer speaks first: were both to write first, two pipes that hold less than a message would wait for ever.
async fn exchange(pipe: &mut BoxPipe, role: Role, context: &SecurityContext<'_>) -> Result<(PublicKey, u8)> {
    if role == Role::Dialer {
        send(pipe, context).await?;
        Ok((receive(pipe, context).await?, 1))
    } else {
        let peer = receive(pipe, context).await?;
        send(pipe, context).await?;
        Ok((peer, 0))
    }
}

async fn send(pipe: &mut BoxPipe, context: &SecurityContext<'_>) -> Result<()> {
    write_delimited(pipe, &exchange_of(context.identity)).await?;
    pipe.flush().await.map_err(|e| Error::io("sending the exchange", e))
}

async fn receive(pipe: &mut BoxPipe, context: &SecurityContext<'_>) -> Result<PublicKey> {
    let exchange: Exchange = read_delimited(pipe, MAX_EXCHANGE)
        .await?
        .ok_or_else(|| Error::closed("the peer closed the pipe instead of an exchange"))?;
    let peer = peer_of(&exchange)?;
    match context.expected {
        Some(expected) if expected != peer.peer_id() => {
            Err(Error::new(Kind::PeerMismatch { expected, actual: peer.peer_id() }, "checking the peer's id"))
        }
        _ => Ok(peer),
    }
}
