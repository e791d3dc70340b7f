//! One measurement: a server, a client, and perhaps a link between them, each a process of its own.

use std::{path::PathBuf, time::Duration};

use stackwire_contest::{Line, NotSupported, ReadyAt, Result, Usage, Workload};

use super::{
    busy::{Busy, Meter},
    child::Child,
};
use crate::{
    figures::{Both, Run},
    link::{Seen, Shape},
    rows::time_limit,
};

/// How long a program may take to end once it was told to.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is to be measured.
#[derive(Debug)]
pub struct Job<'a> {
    /// The contestant's program.
    pub program: PathBuf,
    /// This program, which is the link's too.
    pub own: PathBuf,
    /// Which of its stacks.
    pub stack: &'a str,
    /// What the client does.
    pub workload: &'a Workload,
    /// What stands between client and server.
    pub link: Option<Shape>,
}

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The stack can't do this.
    NotSupported(String),
    /// It broke.
    Failed(String),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(error.into().to_string())
    }
}

/// Measures once. Dropping the future kills the processes.
pub async fn measure(job: &Job<'_>) -> Result<(Run, Busy), Failure> {
    let round_trip = job.link.map_or(Duration::ZERO, |link| 2 * link.delay);
    let limit = time_limit(job.workload, round_trip);
    let meter = Meter::start();
    let run = match tokio::time::timeout(limit, run(job, round_trip)).await {
        Ok(run) => run?,
        Err(_) => return Err(Failure::Failed(format!("it was not done after {} s", limit.as_secs()))),
    };
    Ok((run, meter.stop()))
}

async fn run(job: &Job<'_>, round_trip: Duration) -> Result<Run, Failure> {
    let mut server = Child::start(&job.program, &["server", "--stack", job.stack])?;
    let mut ready = ready(&mut server).await?;
    let mut link = match job.link {
        None => None,
        Some(shape) => {
            let mut link = Child::start(&job.own, &link_arguments(shape, &ready))?;
            ready.address = self::ready(&mut link).await?.address;
            Some(link)
        }
    };
    let workload = serde_json::to_string(job.workload)?;
    let address = ready.address.to_string();
    let arguments =
        ["client", "--stack", job.stack, "--address", &address, "--peer", &ready.peer, "--workload", &workload];
    let mut client = Child::start(&job.program, &arguments)?;
    let mut told = Run { round_trip_ms: round_trip.as_secs_f64() * 1e3, ..Run::default() };
    let mut done = false;
    while let Some(line) = client.hear().await? {
        let wrong = |error| format!("the client said {line:?}, which is not understood: {error}");
        match serde_json::from_str::<Line>(&line).map_err(wrong)? {
            Line::Phase { phase, usage } => {
                let server = usage_of(&mut server).await?;
                told.phases.insert(phase, Both { client: usage, server });
                client.say("").await?;
            }
            Line::Result { result } => {
                told.result = result;
                done = true;
                // Before the client's end lets the connections go.
                told.after = Some(usage_of(&mut server).await?);
            }
            Line::Progress { .. } | Line::Ready { .. } => {}
        }
    }
    farewell(&mut client, "client").await?;
    if !done {
        return Err("the client ended without a result".into());
    }
    if let Some(mut link) = link.take() {
        link.say("seen").await?;
        let line = link.hear().await?.ok_or("the link ended by itself")?;
        told.seen = Some(serde_json::from_str::<Seen>(&line)?);
        farewell(&mut link, "link").await?;
    }
    farewell(&mut server, "server").await?;
    Ok(told)
}

fn link_arguments(shape: Shape, to: &ReadyAt) -> Vec<String> {
    let (delay, to) = (shape.delay.as_micros().to_string(), to.address.to_string());
    let mut arguments = vec!["link".to_string(), "--to".to_string(), to, "--delay-us".to_string(), delay];
    if let Some(rate) = shape.rate {
        arguments.extend(["--mbits".to_string(), (rate / 125_000).max(1).to_string()]);
    }
    arguments
}

async fn ready(child: &mut Child) -> Result<ReadyAt, Failure> {
    match child.hear().await? {
        Some(line) => match serde_json::from_str(&line)? {
            Line::Ready { ready } => Ok(ready),
            other => Err(format!("it did not say that it is ready, but {other:?}").into()),
        },
        None => {
            farewell(child, "server").await?;
            Err("the server ended before it was ready".into())
        }
    }
}

async fn usage_of(server: &mut Child) -> Result<Usage, Failure> {
    server.say("usage").await?;
    match server.hear().await? {
        Some(line) => Ok(serde_json::from_str(&line)?),
        None => {
            farewell(server, "server").await?;
            Err("the server ended by itself".into())
        }
    }
}

/// Lets a program end; an error where it did not end well.
async fn farewell(child: &mut Child, who: &str) -> Result<(), Failure> {
    let status = match tokio::time::timeout(FAREWELL, child.end()).await {
        Ok(status) => status?,
        Err(_) => return Err(format!("the {who} did not end when it was told to").into()),
    };
    if status.success() {
        return Ok(());
    }
    let why = child.complaints();
    match status.code() {
        Some(code) if code == i32::from(NotSupported::EXIT) => {
            Err(Failure::NotSupported(why.trim_start_matches("not supported: ").to_string()))
        }
        _ if why.is_empty() => Err(format!("the {who} ended with {status}").into()),
        _ => Err(format!("the {who} ended with {status}: {why}").into()),
    }
}
