//! What a program says, and what it waits for.

use std::{
    io::{BufRead, Write},
    net::SocketAddr,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{Result, Usage};

/// A line of a program's standard output. (The server's answers to `usage` are a [`Usage`] each, without a name.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The server accepts connections.
    Ready {
        /// How it is dialed.
        ready: ReadyAt,
    },
    /// The client has reached a phase of the workload, and waits for a line, whatever is in it.
    Phase {
        /// Its name.
        phase: String,
        /// What the client has used by then.
        usage: Usage,
    },
    /// How far the client is with something long.
    Progress {
        /// How many of them are done.
        progress: u64,
    },
    /// The client is done.
    Result {
        /// What it measured, by the kind of workload.
        result: Value,
    },
}

/// How a server is dialed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAt {
    /// Where it is.
    pub address: SocketAddr,
    /// Whatever else the client has to know of it.
    pub peer: String,
}

/// The program's ends of the lines between it and whoever runs it.
pub struct Reporter {
    out: Box<dyn Write + Send>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Reporter {
    /// Writes to `out`; `lines` are what it is told.
    pub fn new(out: impl Write + Send + 'static, lines: mpsc::UnboundedReceiver<String>) -> Self {
        Self { out: Box::new(out), lines }
    }

    /// Of standard input and output. The input is read by a thread of its own, to its end.
    pub fn stdio() -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut lines = std::io::stdin().lock().lines().map_while(|line| line.ok());
            // The receiver is gone where the program is about to end.
            lines.all(|line| sender.send(line).is_ok())
        });
        Self::new(std::io::stdout(), lines)
    }

    /// Writes a line of JSON.
    pub fn say(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.out.write_all(&text)?;
        Ok(self.out.flush()?)
    }

    /// The next line it is told; `None` when no more will come.
    pub async fn hear(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// Says that a phase is reached; `usage` was taken just now. Waits until it is told to go on.
    pub(crate) async fn phase(&mut self, phase: &str, usage: Usage) -> Result<()> {
        self.say(&Line::Phase { phase: phase.to_string(), usage })?;
        match self.hear().await {
            Some(_) => Ok(()),
            None => Err("standard input ended where a line should say to go on".into()),
        }
    }

    pub(crate) fn progress(&mut self, progress: u64) -> Result<()> {
        self.say(&Line::Progress { progress })
    }
}
