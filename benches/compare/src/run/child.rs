//! A program that we run and talk to, line by line.

use std::{ffi::OsStr, path::Path, process::ExitStatus, process::Stdio, sync::Arc};

use parking_lot::Mutex;
use stackwire_contest::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

/// What is kept of what a program says on its standard error: the last so many bytes.
const MAX_COMPLAINTS: usize = 8 << 10;

/// A running program. Dropping it kills it.
pub struct Child {
    process: tokio::process::Child,
    /// `None` once it was told that no more will come.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    complaints: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Child {
    /// Starts `program`.
    pub fn start(program: &Path, arguments: &[impl AsRef<OsStr>]) -> Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", program.display()))?;
        let (input, output, errors) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let output = output.ok_or("a piped output is there")?;
        let mut errors = errors.ok_or("a piped error output is there")?;
        let complaints = Arc::<Mutex<Vec<u8>>>::default();
        let kept = complaints.clone();
        let listening = tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = errors.read(&mut buffer).await {
                let mut kept = kept.lock();
                kept.extend_from_slice(&buffer[..n]);
                let excess = kept.len().saturating_sub(MAX_COMPLAINTS);
                kept.drain(..excess);
            }
        });
        Ok(Self { process, input, output: BufReader::new(output).lines(), complaints, listening })
    }

    /// Tells it a line.
    pub async fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or("the program was told that no more will come")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// The next line it says; `None` once it says no more.
    pub async fn hear(&mut self) -> Result<Option<String>> {
        Ok(self.output.next_line().await?)
    }

    /// Tells it that no more will come, and waits until it has ended.
    pub async fn end(&mut self) -> Result<ExitStatus> {
        self.input = None;
        let status = self.process.wait().await?;
        // Its last words are there when its error output has ended.
        let _ = (&mut self.listening).await;
        Ok(status)
    }

    /// What it said on its standard error, in short.
    pub fn complaints(&self) -> String {
        String::from_utf8_lossy(&self.complaints.lock()).trim().to_string()
    }
}
