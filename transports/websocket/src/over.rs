//! A WebSocket over any byte stream: the HTTP upgrade, then the frames.
//!
//! Public only so that the fuzz targets can bring streams that are no sockets; not part of the API.

use stackwire_core::{Env, Result, Role, Stage};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{pipe::WebSocketPipe, upgrade};

/// Asks for the upgrade of `io` as `host` and `path`. Messages of the peer longer than `max_message` bytes end the
/// connection. Dropping the future drops `io`.
pub async fn dial<T>(mut io: T, host: &str, path: &str, max_message: u64, env: &Env) -> Result<Stage>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = upgrade::ask(&mut io, host, path, env).await?;
    Ok(Stage::Raw(Box::new(WebSocketPipe::new(io, Role::Dialer, received, max_message, env.clone()))))
}

/// Answers a request for the upgrade of `io`; otherwise as [`dial`].
pub async fn accept<T>(mut io: T, max_message: u64, env: &Env) -> Result<Stage>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = upgrade::answer(&mut io).await?;
    Ok(Stage::Raw(Box::new(WebSocketPipe::new(io, Role::Listener, received, max_message, env.clone()))))
}
