//! The socket of a connection.

use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
    mem,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use stackwire_core::{Env, total_len};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    task::coop,
};

use crate::patience::{MESSAGE, Patience};

/// A connection's socket. In a quick dialogue its reader does not sleep until the runtime finds that there is something,
/// but looks at the socket whenever its thread has nothing else to do; [`Patience`] says when. The runtime does not watch
/// the socket then, or it would wake another of its threads for every message.
pub(crate) struct Stream {
    socket: Socket,
    patience: Patience,
    /// A task sleeps until it can write.
    writer_sleeps: bool,
    /// Whose socket it is: it may be read and written elsewhere.
    home: Option<Handle>,
    env: Env,
}

enum Socket {
    /// The runtime wakes whoever sleeps.
    Watched(TcpStream),
    /// Nobody sleeps: the reader was told to come again, and the runtime gets the socket back before it isn't.
    Unwatched(std::net::TcpStream),
    /// The runtime could not take it back.
    Lost,
}

impl Stream {
    /// A reader stays awake for `busy_poll` at most. To be made where `stream` was.
    pub(crate) fn new(stream: TcpStream, busy_poll: Duration, env: Env) -> Self {
        Self {
            socket: Socket::Watched(stream),
            patience: Patience::new(busy_poll),
            writer_sleeps: false,
            home: Handle::try_current().ok(),
            env,
        }
    }

    /// Has the end of the socket reset the connection.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        let socket = match &self.socket {
            Socket::Watched(stream) => SockRef::from(stream),
            Socket::Unwatched(stream) => SockRef::from(stream),
            Socket::Lost => return Ok(()),
        };
        socket.set_linger(Some(Duration::ZERO))
    }

    /// Takes the socket from the runtime.
    fn unwatch(&mut self) -> io::Result<()> {
        self.socket = match mem::replace(&mut self.socket, Socket::Lost) {
            Socket::Watched(stream) => Socket::Unwatched(stream.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// The socket, which the runtime watches from now on.
    fn watched(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.socket = match mem::replace(&mut self.socket, Socket::Lost) {
            Socket::Unwatched(stream) => {
                let _home = self.home.as_ref().map(Handle::enter);
                Socket::Watched(TcpStream::from_std(stream)?)
            }
            other => other,
        };
        match &mut self.socket {
            Socket::Watched(stream) => Ok(Pin::new(stream)),
            Socket::Unwatched(..) | Socket::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a reader that found nothing is to look again.
    fn stays_awake(&mut self) -> bool {
        self.home.is_some() && self.patience.waits(|| self.env.now()) && !self.writer_sleeps
    }

    fn poll_read_some(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Socket::Watched(stream) = &mut self.socket {
            let polled = Pin::new(stream).poll_read(cx, out);
            if polled.is_ready() || !self.stays_awake() {
                return polled;
            }
            self.unwatch()?;
        }
        if let Socket::Unwatched(stream) = &mut self.socket {
            let share = ready!(coop::poll_proceed(cx));
            let mut message = [0; MESSAGE];
            let room = &mut message[..out.remaining().min(MESSAGE)];
            match stream.read(room) {
                Err(error) if is_vain(&error) => {}
                read => {
                    share.made_progress();
                    if read.as_ref().is_ok_and(|n| *n == MESSAGE) {
                        // There is more, which is read in larger pieces. Whether that fails shows then.
                        let _later = self.watched();
                    }
                    return Poll::Ready(read.map(|n| out.put_slice(&room[..n])));
                }
            }
            if self.stays_awake() {
                self.env.yield_now(cx);
                return Poll::Pending;
            }
        }
        self.watched()?.poll_read(cx, out)
    }

    /// Does `now` what can be done at once, or else has the runtime tell when it can be done, `later`.
    fn poll_write_side<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce(&mut std::net::TcpStream) -> io::Result<T>,
        later: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Socket::Unwatched(stream) = &mut self.socket {
            let share = ready!(coop::poll_proceed(cx));
            match now(stream) {
                Err(error) if is_vain(&error) => {}
                done => {
                    share.made_progress();
                    return Poll::Ready(done);
                }
            }
        }
        let polled = later(self.watched()?, cx);
        self.writer_sleeps = polled.is_pending();
        polled
    }
}

/// Whether it is to be tried again.
fn is_vain(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        let polled = this.poll_read_some(cx, out);
        if polled.is_ready() {
            this.patience.read(out.filled().len() - before, || this.env.now());
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.patience.wrote(data.len());
        this.poll_write_side(cx, |stream| stream.write(data), |stream, cx| stream.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.patience.wrote(total_len(slices));
        this.poll_write_side(
            cx,
            |stream| stream.write_vectored(slices),
            |stream, cx| stream.poll_write_vectored(cx, slices),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_write_side(
            cx,
            |stream| stream.shutdown(Shutdown::Write),
            |stream, cx| stream.poll_shutdown(cx),
        )
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Watched(stream) => stream.fmt(f),
            Socket::Unwatched(stream) => stream.fmt(f),
            Socket::Lost => f.write_str("Lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin, time::Instant};

    use futures::{
        future::{BoxFuture, join},
        poll,
    };
    use stackwire_conformance::{env, in_time};
    use stackwire_core::Runtime;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, split},
        net::TcpListener,
    };

    use super::*;

    const BUSY_POLL: Duration = Duration::from_micros(100);

    /// Its clock stands still, so that whatever comes has come quickly.
    struct Still(Instant);

    impl Runtime for Still {
        fn now(&self) -> Instant {
            self.0
        }
        fn unix_time(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(pending())
        }
        fn fill_random(&self, _: &mut [u8]) {}
        fn spawn(&self, _: BoxFuture<'static, ()>) {}
    }

    impl Stream {
        fn is_watched(&self) -> bool {
            matches!(self.socket, Socket::Watched(_))
        }

        async fn finds_nothing(&mut self) -> bool {
            poll!(pin!(self.read(&mut [0; 100]))).is_pending()
        }

        async fn hears(&mut self, from: &mut Stream, text: &[u8]) {
            from.write_all(text).await.unwrap();
            let mut bytes = vec![0; text.len()];
            in_time("a message", self.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(bytes, text);
        }
    }

    async fn pair(busy_poll: Duration) -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialed = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let env = Env::new(Still(env().now()));
        (Stream::new(dialed, busy_poll, env.clone()), Stream::new(accepted, busy_poll, env))
    }

    /// The first of them waits, awake.
    async fn in_dialogue() -> (Stream, Stream) {
        let (mut a, mut b) = pair(BUSY_POLL).await;
        assert!(a.finds_nothing().await && a.is_watched(), "nothing is known yet");
        a.hears(&mut b, b"greeting").await;
        assert!(a.finds_nothing().await && !a.is_watched());
        (a, b)
    }

    #[tokio::test]
    async fn who_is_in_a_dialogue_stays_awake_for_a_while_and_then_is_woken() {
        let (mut a, mut b) = in_dialogue().await;
        for _ in 0..10 {
            b.hears(&mut a, b"question").await;
            a.hears(&mut b, b"answer").await;
            assert!(a.finds_nothing().await && !a.is_watched());
        }
        while !a.is_watched() {
            assert!(a.finds_nothing().await);
        }
        join(a.hears(&mut b, b"late"), tokio::task::yield_now()).await;
        b.shutdown().await.unwrap();
        assert_eq!(in_time("the end", a.read(&mut [0; 10])).await.unwrap(), 0);
        b.hears(&mut a, b"one way").await;
    }

    #[tokio::test]
    async fn a_message_that_is_none_is_read_in_large_pieces() {
        let (mut a, mut b) = in_dialogue().await;
        let much: Vec<u8> = (0..100_000).map(|n| n as u8).collect();
        a.hears(&mut b, &much).await;
        assert!(a.is_watched());
        assert!(a.finds_nothing().await && a.is_watched());
    }

    #[tokio::test]
    async fn the_end_and_a_reset_are_told_to_who_is_awake() {
        let (mut a, mut b) = in_dialogue().await;
        b.shutdown().await.unwrap();
        assert_eq!(in_time("the end", a.read(&mut [0; 10])).await.unwrap(), 0);
        a.shutdown().await.unwrap();
        assert_eq!(in_time("the end", b.read(&mut [0; 10])).await.unwrap(), 0);

        let (a, mut b) = in_dialogue().await;
        a.set_zero_linger().unwrap();
        drop(a);
        let error = in_time("the reset", b.read(&mut [0; 10])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_writer_that_sleeps_is_woken_whoever_reads_beside_it() {
        const MUCH: usize = 32 << 20;
        let (a, mut b) = in_dialogue().await;
        let (mut reader, mut writer) = split(a);
        let write = async {
            writer.write_all(&vec![7; MUCH]).await.unwrap();
        };
        let read = async {
            let mut text = [0; 4];
            for _ in 0..100 {
                reader.read_exact(&mut text).await.unwrap();
            }
        };
        let peer = async {
            let mut bytes = vec![0; MUCH / 100];
            for _ in 0..100 {
                b.read_exact(&mut bytes).await.unwrap();
                b.write_all(b"more").await.unwrap();
            }
            b.read_exact(&mut [0; MUCH % 100]).await.unwrap();
        };
        in_time("all of it", join(join(write, read), peer)).await;
    }

    #[tokio::test]
    async fn who_shall_not_stay_awake_sleeps() {
        let (mut a, mut b) = pair(Duration::ZERO).await;
        for _ in 0..10 {
            assert!(a.finds_nothing().await && a.is_watched());
            a.hears(&mut b, b"text").await;
            b.hears(&mut a, b"text").await;
        }
    }
}
