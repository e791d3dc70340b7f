//! Named pipes, which are to Windows what unix-domain sockets are elsewhere. `/unix/<name>` is `\\.\pipe\<name>`.
//!
//! They end both directions at once: a close is felt by the peer when our end is dropped.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use stackwire_core::Env;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions},
};

use crate::config::Checked;

/// How long a dial waits before it asks again, while a listener's only free instance is taken by another dial.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest name with its prefix, in UTF-16 units.
const LONGEST: usize = 256;

const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_PIPE_BUSY: i32 = 231;

/// One end of a connection.
#[derive(Debug)]
pub(crate) enum Connection {
    Dialed(NamedPipeClient),
    Accepted(NamedPipeServer),
}

/// A pipe that waits for the next client.
pub(crate) struct Socket {
    name: String,
    next: NamedPipeServer,
}

/// Whether the operating system takes such a name.
pub(crate) fn fits(name: &str) -> Result<(), String> {
    let name = path_of(name);
    let len = name.encode_utf16().count();
    match () {
        () if name[PREFIX.len()..].contains('\\') => Err("the name of a pipe has no backslash in it".into()),
        () if len > LONGEST => Err(format!("its name has {len} characters, and Windows allows {LONGEST} for a pipe")),
        () => Ok(()),
    }
}

const PREFIX: &str = r"\\.\pipe\";

fn path_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Connects to the pipe `name`. Dropping the future closes it.
pub(crate) async fn connect(name: &str, env: &Env) -> io::Result<Connection> {
    let path = path_of(name);
    loop {
        match ClientOptions::new().open(&path) {
            Err(e) if e.raw_os_error() == Some(ERROR_PIPE_BUSY) => env.sleep(PAUSE).await,
            result => return result.map(Connection::Dialed),
        }
    }
}

/// Why nobody can be reached, where that is what a dial's error means.
pub(crate) fn unreachable(error: &io::Error) -> Option<&'static str> {
    (error.kind() == io::ErrorKind::NotFound).then_some("there is no such pipe")
}

impl Socket {
    /// Listens at `name`, and says at which name it does. Where it fails, the phrase names the fix.
    pub(crate) fn bind(name: &str, _: &Checked, _: &Env) -> Result<(Self, String), (String, io::Error)> {
        let path = path_of(name);
        match ServerOptions::new().first_pipe_instance(true).create(&path) {
            Ok(next) => Ok((Self { name: path, next }, name.to_string())),
            // What the first instance gets where there is one already.
            Err(e) if e.raw_os_error() == Some(ERROR_ACCESS_DENIED) => {
                let taken = io::Error::new(io::ErrorKind::AddrInUse, e);
                Err(("somebody listens there, perhaps another node; take another name".into(), taken))
            }
            Err(e) => Err(("the operating system refuses".into(), e)),
        }
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> io::Result<Connection> {
        self.next.connect().await?;
        // Where this fails, the client that is connected waits for the next call.
        let next = ServerOptions::new().create(&self.name)?;
        Ok(Connection::Accepted(std::mem::replace(&mut self.next, next)))
    }
}

macro_rules! either {
    ($connection:expr, $end:ident => $result:expr) => {
        match $connection.get_mut() {
            Connection::Dialed(end) => {
                let $end = Pin::new(end);
                $result
            }
            Connection::Accepted(end) => {
                let $end = Pin::new(end);
                $result
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = either!(self, end => end.poll_read(cx, out));
        match result {
            // How Windows says that the other end is closed.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            result => result,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, end => end.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, end => end.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Connection::Dialed(end) => end.is_write_vectored(),
            Connection::Accepted(end) => end.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, end => end.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, end => end.poll_shutdown(cx))
    }
}
