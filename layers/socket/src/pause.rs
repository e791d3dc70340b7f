//! What a listener does after accepting has failed.

use std::{io, time::Duration};

use futures::future::BoxFuture;
use stackwire_core::Env;

/// How long accepting pauses when the machine has no means for another connection, such as a file descriptor. The
/// connections stay queued meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps a listener from asking again and again for what the machine does not have just now.
pub struct Pause {
    env: Env,
    /// Kept between calls, so that a caller who gives up and comes back does not shorten it.
    timer: Option<BoxFuture<'static, ()>>,
}

impl Pause {
    /// No pause yet.
    pub fn new(env: &Env) -> Self {
        Self { env: env.clone(), timer: None }
    }

    /// Waits for the end of the pause, if there is one. Cancel-safe. To be called before each `accept`.
    pub async fn over(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.await;
            self.timer = None;
        }
    }

    /// Whether to go on after this error of an `accept`: at once, where that one connection failed, or after a pause, where
    /// the machine lacks something. Else the error is given back: the socket itself is of no more use.
    pub fn after(&mut self, error: io::Error) -> io::Result<()> {
        match after(&error) {
            After::Next => {}
            After::Pause => self.timer = Some(self.env.sleep(PAUSE)),
            After::End => return Err(error),
        }
        Ok(())
    }
}

/// What to do after accepting failed.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// That one connection failed before it was ours; take the next.
    Next,
    /// The machine lacks something; try again a little later.
    Pause,
    /// The socket itself is of no more use.
    End,
}

fn after(error: &io::Error) -> After {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted => After::Next,
        // The socket does not listen.
        io::ErrorKind::InvalidInput => After::End,
        // Whatever else the system complains of (file descriptors, memory, the network) is its state and not ours.
        _ if error.raw_os_error().is_some() => After::Pause,
        _ => After::End,
    }
}

#[cfg(test)]
mod tests {
    use stackwire_conformance::env;

    use super::*;

    const EMFILE: i32 = 24;

    #[test]
    fn only_a_broken_socket_ends_a_listener() {
        assert_eq!(after(&io::ErrorKind::ConnectionAborted.into()), After::Next);
        assert_eq!(after(&io::Error::from_raw_os_error(EMFILE)), After::Pause);
        assert_eq!(after(&io::ErrorKind::InvalidInput.into()), After::End);
        assert_eq!(after(&io::Error::other("the runtime is gone")), After::End);
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the test's own time")]
    async fn a_pause_is_as_long_for_who_gives_up_meanwhile() {
        let begin = tokio::time::Instant::now();
        let mut pause = Pause::new(&env());
        pause.over().await;
        pause.after(io::ErrorKind::ConnectionAborted.into()).unwrap();
        pause.over().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        pause.after(io::Error::from_raw_os_error(EMFILE)).unwrap();
        assert!(tokio::time::timeout(PAUSE / 2, pause.over()).await.is_err());
        pause.over().await;
        assert_eq!(begin.elapsed(), PAUSE);
        assert!(pause.after(io::ErrorKind::InvalidInput.into()).is_err());
    }
}
