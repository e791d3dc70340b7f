//! A thread that prints, so that nobody who has something to say waits for who reads it.
//!
//! A terminal that is held, a pipe that nobody empties, a disk that is full: each would block or fail the task that
//! prints, and with it the node and its signals. So lines go into a queue with a bound. What does not fit is left out
//! and counted; when there is room again, a line says how many are missing. A write that fails is tried again with the
//! next lines, from where it stopped: when the disk has room again, nothing was torn.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::{Arc, OnceLock, Weak},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

/// Bytes that wait to be printed. Beyond that, lines are left out.
const MAX_WAITING: usize = 1 << 20;
/// How long a write that failed is left alone, unless something happens.
const RETRY: Duration = Duration::from_secs(1);
/// How long one file waits for what was said before on the other.
const ORDER: Duration = Duration::from_millis(100);
/// How often a file that would block is tried again: somebody else made it so.
const WOULD_BLOCK: Duration = Duration::from_millis(20);

/// Prints to one file in a thread of its own. Cheap to clone.
#[derive(Clone)]
pub struct Printer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something came, or somebody waits for the end.
    wake: Condvar,
    /// Something was written, or failed.
    moved: Condvar,
    /// The reader has closed its end.
    gone: CancellationToken,
    /// Is told when writing begins to fail.
    complain: Box<dyn Fn(&io::Error) + Send + Sync>,
    /// The line that tells how many were left out.
    left_out: Box<dyn Fn(u64) -> String + Send + Sync>,
    /// The other file on the same terminal: what was said there before is to be seen before.
    other: OnceLock<Weak<Shared>>,
}

/// Something to print.
struct Line {
    text: Vec<u8>,
    /// How much had been said on the other file before.
    after: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Line>,
    /// Bytes that were ever said.
    said: u64,
    /// Bytes that wait, those of the line that is being written among them.
    bytes: usize,
    /// Lines that found no room since the last that did.
    left_out: u64,
    /// Bytes written since the beginning.
    written: u64,
    /// The last write failed.
    failing: bool,
    /// A line is being written.
    busy: bool,
    /// Somebody waits for the end: what failed is tried once more at once.
    ending: bool,
}

/// What became of all that was printed.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was written, or its reader had enough.
    Written,
    /// It can't be written, as was complained.
    Failed,
    /// Nobody takes it.
    Stuck,
}

impl Printer {
    /// Prints to `file`. `complain` is told when writing begins to fail; `left_out` makes the line that says how many
    /// are missing.
    pub fn new(
        file: impl Write + Send + 'static,
        complain: impl Fn(&io::Error) + Send + Sync + 'static,
        left_out: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            moved: Condvar::new(),
            gone: CancellationToken::new(),
            complain: Box::new(complain),
            left_out: Box::new(left_out),
            other: OnceLock::new(),
        });
        let theirs = shared.clone();
        let printing = thread::Builder::new().name("printing".into()).spawn(move || theirs.run(file));
        if printing.is_err() {
            // A machine that has no room for a thread has none for a node either; whoever waits must not wait for ever.
            shared.gone.cancel();
        }
        Self(shared)
    }

    /// Keeps what two printers say in order, as long as neither holds the other up.
    pub fn keep_order(&self, other: &Self) {
        for (one, other) in [(self, other), (other, self)] {
            // Set twice only by a mistake that changes nothing.
            let _ = one.0.other.set(Arc::downgrade(&other.0));
        }
    }

    /// Prints a text and a line break after it. Never waits.
    pub fn print(&self, text: &str) {
        let shared = &*self.0;
        if shared.gone.is_cancelled() {
            return;
        }
        let after = shared.other().map_or(0, |other| other.state.lock().said);
        let mut state = shared.state.lock();
        if state.bytes > 0 && state.bytes + text.len() > MAX_WAITING {
            state.left_out += 1;
            return;
        }
        if state.left_out > 0 {
            let line = (shared.left_out)(std::mem::take(&mut state.left_out));
            state.add(&line, after);
        }
        state.add(text, after);
        drop(state);
        shared.wake.notify_all();
    }

    /// Ends when the reader has closed its end.
    pub fn gone(&self) -> &CancellationToken {
        &self.0.gone
    }

    /// Waits until all was written, or can't be. `patience` says for how long nothing may move now; `None` is for ever.
    pub fn end(&self, patience: impl Fn() -> Option<Duration>) -> Ended {
        let shared = &*self.0;
        let mut state = shared.state.lock();
        if state.left_out > 0 {
            let line = (shared.left_out)(std::mem::take(&mut state.left_out));
            state.add(&line, 0);
        }
        state.ending = true;
        shared.wake.notify_all();
        let mut last = (state.written, Instant::now());
        loop {
            if shared.gone.is_cancelled() || state.bytes == 0 {
                return Ended::Written;
            }
            if !state.ending && !state.busy && state.failing {
                return Ended::Failed;
            }
            if state.written != last.0 {
                last = (state.written, Instant::now());
            }
            if patience().is_some_and(|patience| last.1.elapsed() >= patience) {
                return Ended::Stuck;
            }
            shared.moved.wait_for(&mut state, Duration::from_millis(50));
        }
    }
}

impl State {
    fn add(&mut self, text: &str, after: u64) {
        let mut line = Vec::with_capacity(text.len() + 1);
        line.extend_from_slice(text.as_bytes());
        line.push(b'\n');
        self.bytes += line.len();
        self.said += line.len() as u64;
        self.waiting.push_back(Line { text: line, after });
    }
}

impl Shared {
    fn run(&self, mut file: impl Write) {
        let mut slow = None;
        loop {
            let line = self.next();
            self.wait_for_other(line.after, &mut slow);
            let mut rest = line.text.as_slice();
            while !rest.is_empty() {
                let wrote = file.write(rest);
                let mut state = self.state.lock();
                match wrote {
                    Ok(count) if count > 0 => {
                        rest = rest.get(count..).unwrap_or_default();
                        state.bytes = state.bytes.saturating_sub(count);
                        state.written += count as u64;
                        state.failing = false;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.wake.wait_for(&mut state, WOULD_BLOCK);
                    }
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        self.gone.cancel();
                        (state.waiting, state.bytes) = Default::default();
                        self.moved.notify_all();
                        return;
                    }
                    failed => {
                        let error = failed.err().unwrap_or_else(|| ErrorKind::WriteZero.into());
                        let first = !std::mem::replace(&mut state.failing, true);
                        state.ending = false;
                        drop(state);
                        if first {
                            (self.complain)(&error);
                        }
                        let mut state = self.state.lock();
                        // Only now: who waits for the end leaves nobody to complain.
                        state.busy = false;
                        self.moved.notify_all();
                        let until = Instant::now() + RETRY;
                        while !state.ending && !self.wake.wait_until(&mut state, until).timed_out() {}
                        state.busy = true;
                    }
                }
                self.moved.notify_all();
            }
        }
    }

    fn next(&self) -> Line {
        let mut state = self.state.lock();
        state.busy = false;
        self.moved.notify_all();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.busy = true;
                return line;
            }
            self.wake.wait(&mut state);
        }
    }

    fn other(&self) -> Option<Arc<Shared>> {
        self.other.get().and_then(Weak::upgrade)
    }

    /// Waits a little until the other printer has written so much; not at all while it is stuck where it was `slow`.
    fn wait_for_other(&self, after: u64, slow: &mut Option<u64>) {
        let Some(other) = self.other() else { return };
        let mut state = other.state.lock();
        let until = Instant::now() + ORDER;
        while state.written < after && !state.failing && !other.gone.is_cancelled() && *slow != Some(state.written) {
            if other.moved.wait_until(&mut state, until).timed_out() {
                *slow = Some(state.written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A file whose every write waits for the test to say what becomes of it.
    struct Scripted {
        answers: mpsc::Receiver<io::Result<usize>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A test that has ended takes everything.
            let count = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.lock().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Scene {
        printer: Printer,
        answer: mpsc::Sender<io::Result<usize>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    fn scene() -> Scene {
        let (answer, answers) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let file = Scripted { answers, written: written.clone() };
        let printer = Printer::new(file, |_| {}, |count| format!("{count} left out"));
        Scene { printer, answer, written }
    }

    impl Scene {
        /// Everything that is still to be written is.
        fn finish(self) -> String {
            let Self { printer, answer, written } = self;
            drop(answer);
            // What the test has still said to fail does so first.
            while printer.end(|| None) != Ended::Written {}
            String::from_utf8(written.lock().clone()).unwrap()
        }
    }

    const FULL: io::ErrorKind = io::ErrorKind::StorageFull;

    #[test]
    fn who_prints_never_waits_and_what_finds_no_room_is_counted() {
        let scene = scene();
        let line = "x".repeat(1023);
        // Nothing is taken yet, so that all of this stands in the queue.
        for _ in 0..2000 {
            scene.printer.print(&line);
        }
        assert!(scene.printer.0.state.lock().bytes <= MAX_WAITING + 1024);
        let text = scene.finish();
        let printed = text.lines().filter(|found| **found == line).count();
        assert_eq!(text.lines().last(), Some(format!("{} left out", 2000 - printed).as_str()));
        assert_eq!(printed, MAX_WAITING / 1024);
    }

    #[test]
    fn a_write_that_failed_goes_on_where_it_stopped() {
        let scene = scene();
        scene.answer.send(Ok(3)).unwrap();
        scene.answer.send(Err(FULL.into())).unwrap();
        scene.printer.print("abcdef");
        scene.answer.send(Err(FULL.into())).unwrap();
        assert_eq!(scene.printer.end(|| None), Ended::Failed);
        assert_eq!(scene.finish(), "abcdef\n");
    }

    #[test]
    fn the_end_waits_until_it_is_told_what_failed() {
        let told = Arc::new(Mutex::new(false));
        let tell = told.clone();
        // Slow enough that an end that does not wait is seen.
        let complain = move |_: &io::Error| {
            thread::sleep(Duration::from_millis(200));
            *tell.lock() = true;
        };
        let (answer, answers) = mpsc::channel();
        let printer = Printer::new(Scripted { answers, written: Arc::default() }, complain, |_| String::new());
        answer.send(Err(FULL.into())).unwrap();
        printer.print("abc");
        while !printer.0.state.lock().failing {
            thread::yield_now();
        }
        answer.send(Err(FULL.into())).unwrap();
        assert_eq!(printer.end(|| None), Ended::Failed);
        assert!(*told.lock());
    }

    #[test]
    fn nobody_waits_for_ever_for_a_reader_that_does_not_read() {
        let scene = scene();
        scene.printer.print("abc");
        assert_eq!(scene.printer.end(|| Some(Duration::ZERO)), Ended::Stuck);
        assert_eq!(scene.finish(), "abc\n");
    }

    #[test]
    fn a_reader_that_left_had_enough() {
        let scene = scene();
        scene.printer.print("abc");
        scene.answer.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        assert_eq!(scene.printer.end(|| None), Ended::Written);
        assert!(scene.printer.gone().is_cancelled());
        scene.printer.print("never");
        assert_eq!(scene.printer.0.state.lock().bytes, 0);
    }

    #[test]
    fn a_file_that_would_block_is_waited_for() {
        let scene = scene();
        scene.printer.print("abc");
        for _ in 0..3 {
            scene.answer.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        }
        assert_eq!(scene.finish(), "abc\n");
    }
}
