//! `contract`: one side of a public interop suite.
//!
//! Both suites start the same program twice, as a listener and as a dialer, which meet at a redis: the listener appends
//! its address to a list, the dialer takes it from there, connects, pings once, and prints two latencies. They differ in
//! names and notation, see [`variables`] and [`latency`]. Logs go to the error output.

mod latency;
mod meeting;
mod variables;

use std::{
    cell::Cell,
    fmt::Display,
    process::ExitCode,
    time::{Duration, Instant},
};

use stackwire_config::Plan;
use stackwire_node::{Error, Kind, Multiaddr, Node, ProtocolId, Result, address};

use self::{latency::Latency, meeting::Meeting, variables::Variables};
use super::stop;
use crate::{
    args::Contract,
    output::{self, Output},
    stack,
};

const PING: &str = "/ipfs/ping/1.0.0";
/// How long a node that is done may take to say good-bye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Plays the side that the environment says. Ends with 0 when a dialer has printed its result, or a listener was asked
/// to stop.
pub async fn run(args: Contract, out: &Output) -> ExitCode {
    let Contract::Transport { dialect } = args;
    // Waited for before anybody knows of us.
    let mut asked = std::pin::pin!(stop::asked());
    let result = async {
        let variables = Variables::read(dialect, |name| std::env::var(name).ok())?;
        for note in &variables.notes {
            log(note);
        }
        let limit = variables.limit;
        let step = Cell::new("starting");
        let playing = async {
            match variables.is_dialer {
                true => dial(&variables, &step, out).await,
                false => listen(&variables, &step).await,
            }
        };
        tokio::select! {
            biased;
            () = &mut asked => match variables.is_dialer {
                true => Err(Error::closed("interrupted")),
                false => Ok(()),
            },
            result = tokio::time::timeout(limit, playing) => result.unwrap_or_else(|_| {
                let during = format!("{}: the test's time is over (`{}`)", step.get(), variables.limit_name);
                Err(Error::new(Kind::Timeout { limit }, during))
            }),
        }
    };
    match result.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::warn(error);
            ExitCode::FAILURE
        }
    }
}

/// Listens, says where, and goes on until somebody ends it.
async fn listen(variables: &Variables, step: &Cell<&str>) -> Result<()> {
    let node = start(variables).await?;
    let address = reachable(node.addresses())?;
    step.set("publishing the address");
    Meeting::connect(variables).await?.publish(&address.to_string()).await?;
    step.set("listening");
    log(format_args!("published {address}"));
    std::future::pending().await
}

/// Finds the listener, connects, pings, prints.
async fn dial(variables: &Variables, step: &Cell<&str>, out: &Output) -> Result<()> {
    let node = start(variables).await?;
    step.set("waiting for the listener's address");
    let told = Meeting::connect(variables).await?.find().await?;
    log(format_args!("dialing {told}"));
    step.set("connecting");
    let listener = address::parse(&told)?;
    let begin = Instant::now();
    let connection = node.connect(&listener).await?;
    step.set("pinging");
    let mut stream = node.open_stream_on(connection.id, &[ProtocolId::new(PING)]).await?;
    let ping = stackwire_protocol_ping::ping(&mut stream, node.env()).await?;
    let latency = Latency { handshake_plus_one_rtt: begin.elapsed(), ping };
    log(format_args!("connected to {} by {}", connection.peer, connection.path));
    out.raw(&latency.in_dialect(variables.dialect).to_string());
    // The result counts; whether the peer hears us leave does not.
    let _ = tokio::time::timeout(GOODBYE, node.shutdown()).await;
    Ok(())
}

async fn start(variables: &Variables) -> Result<Node> {
    let plan = Plan::parse(&variables.config(), &stack::catalogue()?)?;
    Node::start(plan.stack()).await
}

/// The address to publish: one that other machines can use, or whichever there is.
fn reachable(mut addresses: Vec<Multiaddr>) -> Result<Multiaddr> {
    // Stable: of two that are equally good, the first.
    addresses.sort_by_key(address::is_local);
    addresses.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "the listener has no address"))
}

/// A line for people. Lost where nobody reads.
fn log(line: impl Display) {
    output::say(&output::plain(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_published_only_where_there_is_nothing_else() {
        let parse = |texts: &[&str]| texts.iter().map(|text| address::parse(text).unwrap()).collect::<Vec<_>>();
        let (local, other) = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1");
        assert_eq!(reachable(parse(&[local, other])).unwrap().to_string(), other);
        assert_eq!(reachable(parse(&[local])).unwrap().to_string(), local);
        assert!(reachable(Vec::new()).is_err());
    }
}
