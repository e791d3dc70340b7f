//! Runs the program, with a generous limit of time, and never leaves a child behind.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

/// No wait of a test is longer. Slow machines are slow: this is for what hangs.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The program, without what the surroundings of the test say about colour and logs.
pub fn stackwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stackwire"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// A child that is killed where the test ends before it.
pub struct Guard(pub Child);

impl Guard {
    pub fn spawn(mut command: Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
    }

    /// Waits for the end. The caller knows that it is near: the child has closed its output.
    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("the child can be waited for")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The only object on standard output.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one object: {self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The result of a command that succeeded.
    pub fn result(&self) -> Value {
        let json = self.json();
        assert!(json["ok"] == true && self.code == Some(0), "{self:?}");
        json["result"].clone()
    }

    /// The error of a command that failed.
    pub fn error(&self) -> Value {
        self.error_with(1)
    }

    /// The error of a command line that is wrong.
    pub fn usage(&self) -> Value {
        self.error_with(2)
    }

    fn error_with(&self, code: i32) -> Value {
        let json = self.json();
        assert!(json["ok"] == false && self.code == Some(code), "{self:?}");
        json["error"].clone()
    }
}

/// Runs a command to its end.
pub fn finish(args: &[&str]) -> Finished {
    finish_command(stackwire(args))
}

pub fn finish_command(command: Command) -> Finished {
    collect(Guard::spawn(command))
}

/// Everything a child still says where it is piped, and how it ends.
pub fn collect(mut child: Guard) -> Finished {
    let pipes = [child.0.stdout.take().map(drain), child.0.stderr.take().map(drain)];
    let [stdout, stderr] = pipes
        .map(|pipe| pipe.map_or_else(String::new, |pipe| pipe.recv_timeout(LIMIT).expect("the program ends in time")));
    Finished { code: child.wait().code(), stdout, stderr }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("the output is text");
        // Fails where the test has given up.
        let _ = sender.send(text);
    });
    receiver
}

/// A node of `stackwire run --json`.
pub struct Node {
    child: Guard,
    events: Receiver<Value>,
    /// Its peer id.
    pub peer: String,
    /// Its addresses, in the order of its config.
    pub addresses: Vec<String>,
}

impl Node {
    /// Starts a node and waits until it listens on `listeners` addresses.
    pub fn start(args: &[&str], listeners: usize) -> Self {
        let mut child = Guard::spawn(stackwire(&[&["run", "--json"], args].concat()));
        let stdout = child.0.stdout.take().expect("stdout is piped");
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.expect("events are text");
                let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let mut node = Self { child, events, peer: String::new(), addresses: Vec::new() };
        let running = node.next().expect("an event");
        assert_eq!(running["event"], "running", "the first line: {running}");
        node.peer = running["peer"].as_str().expect("a peer id").to_string();
        for _ in 0..listeners {
            let event = node.next().expect("an event");
            assert_eq!(event["event"], "listening", "the first lines: {event}");
            node.addresses.push(event["address"].as_str().expect("an address").to_string());
        }
        node
    }

    /// The next event; `None` after the last.
    pub fn next(&self) -> Option<Value> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.events.recv_timeout(LIMIT) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no event in time"),
        }
    }

    /// Waits for an event.
    pub fn until(&self, name: &str) -> Value {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("it ended before `{name}`"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        self.child.interrupt();
    }

    /// Stops it in whatever it does, for good.
    pub fn freeze(&self) {
        self.child.signal("-STOP");
    }

    /// What makes it take its config anew.
    pub fn hang_up(&self) {
        self.child.signal("-HUP");
    }

    /// What makes it take its config anew.
    pub fn ask_for_holdings(&self) {
        self.child.signal("-USR1");
    }

    /// The events until its end, and its exit code.
    pub fn end(mut self) -> (Vec<Value>, Option<i32>) {
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.push(event);
        }
        (events, self.child.wait().code())
    }
}

/// The plug-ins of a path, from the wire up.
pub fn plugins(path: &Value) -> Vec<String> {
    let rungs = path["rungs"].as_array().expect("a path has rungs");
    rungs.iter().map(|rung| rung["plugin"].as_str().expect("a rung has a plug-in").to_string()).collect()
}

/// A file of a temporary folder, as an argument.
pub fn text(path: &impl AsRef<OsStr>) -> &str {
    path.as_ref().to_str().expect("temporary folders have names in UTF-8")
}
