//! What every stack that is compared shares. A stack becomes a *contestant* by implementing [`Contestant`]: how to
//! serve, dial, and open streams. This crate does the rest, the same for all of them: the command line
//! ([`Command`]), the streams' contents ([`serve`]), the [workloads](Workload), and what they measure.
//!
//! A comparison runs a contestant's program twice, as the server and as the client, and talks to both over their
//! standard input and output, one line of JSON for each message ([`Line`]):
//!
//! ```text
//! $ program stacks
//! [{"name":"libp2p-noise","version":"libp2p 0.57.1"}]
//! $ program server --stack libp2p-noise --listen 127.0.0.1:0
//! {"ready":{"address":"127.0.0.1:4001","peer":"12D3KooW…"}}
//! usage                                                                        (a line it is given)
//! {"now_us":1,"cpu_user_us":2,"cpu_sys_us":3,"rss_kib":4,"received":5}
//! $ program client --stack libp2p-noise --address 127.0.0.1:4001 --peer 12D3KooW… \
//!       --workload '{"kind":"rpc","size":64,"in_flight":256,"warmup_ms":500,"ms":3000}'
//! {"phase":"start","usage":{…}}
//!                                                                              (waits for a line, under load)
//! {"phase":"end","usage":{…}}
//!
//! {"result":{"count":489210,"seconds":3.0,"per_second":163070.0,"min_us":210.1,"p50_us":1480.2,"p99_us":2210.7}}
//! ```
//!
//! The server ends, with success, when its standard input does. The client ends with code 0 after its result, with 1
//! after a failure, and with 3 where the stack can't do what was asked of it ([`NotSupported`]); the reason is on
//! standard error.

#![allow(clippy::disallowed_methods, reason = "a measurement runs in real time, on a runtime of its own")]

mod calls;
mod contestant;
mod program;
mod reporter;
mod samples;
mod serve;
mod usage;
mod workload;

pub use contestant::{Connection, ContestStream, Contestant, NotSupported, Ready, Result, Stack};
pub use program::{Command, main, raise_limits, run};
pub use reporter::{Line, ReadyAt, Reporter};
pub use serve::serve;
pub use usage::{Usage, tell_polls};
pub use workload::{Direction, Workload};
