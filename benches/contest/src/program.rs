//! The command line of every contestant.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime;

use crate::{
    Contestant, Line, NotSupported, ReadyAt, Reporter, Result, Usage, Workload,
    serve::prepare,
    workload::{self, Target},
};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What a contestant's program is told to do. A program with a command line of its own can have these among its
/// subcommands, and hands them to [`run`].
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Prints the stacks that this program offers
    Stacks,
    /// Serves until standard input ends; answers the line `usage`
    Server {
        /// The stack
        #[arg(long)]
        stack: String,
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Runs a workload against a server
    Client {
        /// The stack, which is the server's
        #[arg(long)]
        stack: String,
        /// Where the server is
        #[arg(long)]
        address: SocketAddr,
        /// What the server said of itself besides
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        peer: String,
        /// The workload, as JSON
        #[arg(long, value_parser = workload)]
        workload: Workload,
    },
}

fn workload(text: &str) -> Result<Workload, serde_json::Error> {
    serde_json::from_str(text)
}

/// The whole `main` of a contestant's program: parses the arguments, makes the runtime that all contestants are given
/// (tokio's, with its defaults), and runs.
pub fn main<C: Contestant>() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into())),
    };
    let result = runtime.block_on(run::<C>(command));
    // Whatever still runs ends with the process.
    runtime.shutdown_background();
    ended(result)
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            eprintln!("{text}");
            match NotSupported::within(&*error) {
                Some(_) => NotSupported::EXIT.into(),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Does what `command` says, on the runtime it is called on, over standard input and output.
///
/// # Errors
///
/// The first failure of a measurement. Whoever calls this from a `main` of its own ends with the code
/// [`NotSupported::EXIT`] where [`NotSupported::within`] finds one in it.
pub async fn run<C: Contestant>(command: Command) -> Result<()> {
    raise_limits();
    prepare();
    let reporter = Reporter::stdio();
    // On a worker: what runs in `block_on` itself is woken across threads, which everybody would pay for.
    let task = match command {
        Command::Stacks => return { reporter }.say(&C::stacks()),
        Command::Server { stack, listen } => tokio::spawn(server::<C>(stack, listen, reporter)),
        Command::Client { stack, address, peer, workload } => {
            let target = Target { address, peer };
            tokio::spawn(client::<C>(stack, target, workload, reporter))
        }
    };
    task.await?
}

fn known<C: Contestant>(stack: &str) -> Result<()> {
    let known = C::stacks();
    match known.iter().any(|known| known.name == stack) {
        true => Ok(()),
        false => {
            let names: Vec<_> = known.iter().map(|stack| stack.name.as_str()).collect();
            Err(format!("no stack {stack:?}; there are: {}", names.join(", ")).into())
        }
    }
}

async fn server<C: Contestant>(stack: String, listen: SocketAddr, mut reporter: Reporter) -> Result<()> {
    known::<C>(&stack)?;
    let ready = C::serve(&stack, listen).await?;
    reporter.say(&Line::Ready { ready: ReadyAt { address: ready.address, peer: ready.peer } })?;
    while let Some(line) = reporter.hear().await {
        match line.trim() {
            "usage" => reporter.say(&Usage::now())?,
            "" => {}
            other => return Err(format!("a server is not told {other:?}").into()),
        }
    }
    drop(ready.running);
    Ok(())
}

async fn client<C: Contestant>(
    stack: String,
    target: Target,
    workload: Workload,
    mut reporter: Reporter,
) -> Result<()> {
    known::<C>(&stack)?;
    let contestant = Arc::new(C::client(&stack).await?);
    let result = workload::run(&contestant, &target, &workload, &mut reporter).await?;
    reporter.say(&Line::Result { result })
}

/// Lets this process have as many open files as it may, so that it can have as many connections. [`run`] does it.
pub fn raise_limits() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it is refused, dialing says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
