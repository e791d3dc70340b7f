//! A transfer that goes on for as long as it is let, and what arrives of it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use crate::Link;

/// What a transfer runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The kernel's TCP.
    Tcp,
    /// Our uTP.
    Utp,
}

impl Protocol {
    /// Its name, as the program `flow` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Utp => "utp",
        }
    }
}

/// A transfer over a [`Link`], made by two processes. Both end with this.
#[derive(Debug)]
pub struct Flow {
    sink: Child,
    source: Child,
    lines: BufReader<ChildStdout>,
}

impl Flow {
    /// Starts to send. `program` is this crate's `flow`: `flow sink tcp|utp ADDRESS` prints its port, and then twice a
    /// second how many bytes have arrived; `flow source tcp|utp ADDRESS:PORT` sends.
    pub fn start(link: &Link, program: &str, protocol: Protocol) -> Self {
        let mut sink = link.to(program);
        sink.args(["sink", protocol.name(), Link::TO]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut sink = sink.spawn().expect("the sink starts");
        let mut lines = BufReader::new(sink.stdout.take().expect("it was asked for"));
        let mut port = String::new();
        lines.read_line(&mut port).expect("the sink says where it is");
        let mut source = link.from(program);
        source.args(["source", protocol.name(), &format!("{}:{}", Link::TO, port.trim())]);
        let source = source.stdin(Stdio::null()).spawn().expect("the source starts");
        Self { sink, source, lines }
    }

    /// Bits a second that arrive, on average over the next `time`, which is counted in half seconds.
    pub fn measure(&mut self, time: Duration) -> f64 {
        // What was said while nobody listened is stale: what counts is between two readings.
        let mut last = self.next();
        let begin = last;
        while last.0 - begin.0 < time.as_secs_f64() {
            last = self.next();
        }
        (last.1 - begin.1) * 8.0 / (last.0 - begin.0)
    }

    /// The next reading: seconds since the sink began, bytes since then.
    fn next(&mut self) -> (f64, f64) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the sink goes on");
        let mut numbers = line.split_whitespace().map(|n| n.parse().expect("a number"));
        let mut number = || numbers.next().expect("two numbers");
        (number(), number())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        for process in [&mut self.source, &mut self.sink] {
            // One that has ended already can't be killed, and needs not be.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
