//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stackwire_node::{Error, Kind, Multiaddr, ProtocolId, Result, address, identity::KeyType};

use crate::commands::matrix::Group;

/// What every command ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0    it went well, or whoever read the output had enough of it
  1    it failed, or its output can't be written
  2    the command line is wrong
  130  ended at once by a second Ctrl-C (143: by SIGTERM); the first asks to stop";

/// A peer-to-peer networking stack in which every layer is a plug-in.
#[derive(Parser)]
#[command(name = "stackwire", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print JSON for machines instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Log so much to the error output: error, warn, info, debug, trace, or a filter as in RUST_LOG [default: RUST_LOG,
    /// else warn].
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start five nodes with five different mixes and watch them negotiate, talk, move a file, and change a path under it.
    Demo(Demo),
    /// Run a node until Ctrl-C. SIGUSR1 shows who holds how much, SIGHUP takes the config anew.
    Run(Run),
    /// Measure round trips to any libp2p node.
    Ping(Ping),
    /// Ask any libp2p node who it is.
    Identify(Tool),
    /// Measure throughput to any libp2p node that serves /perf/1.0.0.
    Perf(Perf),
    /// Send bytes to a node that sends them back, and check them.
    Echo(Echo),
    /// List the plug-ins this program is linked with, or show one.
    Plugins(Plugins),
    /// Validate a config without touching the network. The files that it names are read, and none is changed.
    Check {
        /// The config.
        file: PathBuf,
    },
    /// Print the config that is used without `--config`, as a beginning of your own.
    Config,
    /// Show whom a node knows that does not run.
    Peers(Peers),
    /// Make or show identity keys.
    #[command(subcommand)]
    Key(Key),
    /// Test every linked transport with every security protocol and muxer, and everything else that can be mixed.
    Matrix(Matrix),
    /// Run a whole network in one process, on a clock that only moves when nobody works.
    #[command(subcommand)]
    Sim(Sim),
    /// Play one side in a public interop suite, as the environment says.
    #[command(subcommand)]
    Contract(Contract),
}

/// `demo`
#[derive(Args)]
pub struct Demo {
    /// The file to send; without it 64 MiB are generated.
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
}

/// Flags that choose a stack. Given ones replace the config's layer, in the order given.
#[derive(Args, Clone, Default)]
pub struct StackArgs {
    /// The config; without it the embedded default that `stackwire config` prints.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Use this transport; repeat for several, most wanted first.
    #[arg(long = "transport", value_name = "X")]
    pub transports: Vec<String>,
    /// Use this security protocol; repeat for several, most wanted first.
    #[arg(long = "security", value_name = "X")]
    pub securities: Vec<String>,
    /// Use this muxer; repeat for several, most wanted first.
    #[arg(long = "muxer", value_name = "X")]
    pub muxers: Vec<String>,
    /// Allow security protocols that protect nothing (`plaintext`). For tests only.
    #[arg(long)]
    pub insecure: bool,
    /// Dial `wss` nodes whose certificate no authority has signed; the security layer still proves who answers.
    #[arg(long)]
    pub no_verify: bool,
}

/// `run`
#[derive(Args)]
pub struct Run {
    /// Which stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Listen here instead of where the config says; repeat for several. Of several networks it is the first.
    #[arg(long, value_name = "A", value_parser = address::parse)]
    pub listen: Vec<Multiaddr>,
    /// Take the config anew whenever it or a file that it names changes. SIGHUP does the same, with or without this.
    #[arg(long, requires = "config")]
    pub watch: bool,
}

/// `peers`
#[derive(Args)]
pub struct Peers {
    /// The folder in which the node keeps what survives a restart.
    #[arg(long, value_name = "D", required_unless_present = "config")]
    pub data_dir: Option<PathBuf>,
    /// The node's config, which names that folder.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Which network of the node, where it is in several [default: the config's first].
    #[arg(long, value_name = "N")]
    pub network: Option<String>,
}

/// A tool that talks to one node.
#[derive(Args)]
pub struct Tool {
    /// The node, such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…; without /p2p/… whoever answers is taken.
    #[arg(value_name = "ADDR", value_parser = address::parse)]
    pub address: Multiaddr,
    /// Which stack.
    #[command(flatten)]
    pub stack: StackArgs,
}

/// `ping`
#[derive(Args)]
pub struct Ping {
    /// Whom, and with what.
    #[command(flatten)]
    pub tool: Tool,
    /// How many pings.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
}

/// `perf`
#[derive(Args)]
pub struct Perf {
    /// Whom, and with what.
    #[command(flatten)]
    pub tool: Tool,
    /// Bytes to send.
    #[arg(long, value_name = "N", default_value_t = 64 << 20)]
    pub upload_bytes: u64,
    /// Bytes to ask for.
    #[arg(long, value_name = "M", default_value_t = 64 << 20)]
    pub download_bytes: u64,
    /// How long nothing moves.
    #[command(flatten)]
    pub stall: Stall,
}

/// `echo`
#[derive(Args)]
pub struct Echo {
    /// Whom, and with what.
    #[command(flatten)]
    pub tool: Tool,
    /// Bytes to send and get back.
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    pub bytes: u64,
    /// Keep our side open until everything came back: go-libp2p ends a whole stream at a half-close.
    #[arg(long)]
    pub no_half_close: bool,
    /// How long nothing moves.
    #[command(flatten)]
    pub stall: Stall,
    /// The protocol to open.
    #[arg(long, value_name = "ID", default_value = stackwire_protocol_echo::ID, value_parser = parse_protocol)]
    pub protocol: ProtocolId,
}

/// When a transfer is given up.
#[derive(Args)]
pub struct Stall {
    /// Give up after so many seconds in which no byte moves in either direction; 1 to 86400.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub stall_secs: u64,
}

/// `plugins`
#[derive(Args)]
pub struct Plugins {
    /// `show NAME`.
    #[command(subcommand)]
    pub command: Option<PluginsCommand>,
}

/// What to do with plug-ins.
#[derive(Subcommand)]
pub enum PluginsCommand {
    /// Show ids, summary, example config, options and capabilities of a plug-in.
    Show {
        /// The name, as configs spell it.
        name: String,
    },
}

/// `key`
#[derive(Subcommand)]
pub enum Key {
    /// Make a key file. It is never overwritten.
    New {
        /// The file.
        file: PathBuf,
        /// ed25519, secp256k1 or ecdsa.
        #[arg(long = "type", value_name = "T", default_value = "ed25519", value_parser = parse_key_type)]
        key_type: KeyType,
    },
    /// Show the type and peer id of a key file.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// `matrix`
#[derive(Args)]
pub struct Matrix {
    /// Only this group of cells; repeat for several.
    #[arg(long = "group", value_name = "G")]
    pub groups: Vec<Group>,
    /// Only this transport, by plug-in name or by the label of the report (`wss`); repeat for several.
    #[arg(long = "transport", value_name = "X")]
    pub transports: Vec<String>,
    /// Only this security protocol; repeat for several.
    #[arg(long = "security", value_name = "X")]
    pub securities: Vec<String>,
    /// Only this muxer; repeat for several.
    #[arg(long = "muxer", value_name = "X")]
    pub muxers: Vec<String>,
    /// Bytes to move each way in every cell.
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    pub bytes: u64,
    /// Run so many cells at once: sooner done, but they disturb each other's figures.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_jobs)]
    pub jobs: usize,
    /// Write a page with heat maps.
    #[arg(long, value_name = "F")]
    pub html: Option<PathBuf>,
}

/// `sim`
#[derive(Subcommand)]
pub enum Sim {
    /// Nodes join, leave, crash, are parted and find together again: who has connections with whom, and how soon.
    ///
    /// Each node must have the first two, makes six more connections, and closes some beyond 16. What happens, and when, follows
    /// from the seed: two runs with the same options give the same report.
    Peers(SimPeers),
}

/// `sim peers`
#[derive(Args, Clone, Copy)]
pub struct SimSize {
    /// How many nodes there are at first; 4 to 200.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(4..=200))]
    pub nodes: u32,
    /// How many minutes to simulate; 1 to 240.
    #[arg(long, value_name = "M", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub minutes: u32,
    /// Decides on everything that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// `sim peers`
#[derive(Args)]
pub struct SimPeers {
    /// Which network.
    #[command(flatten)]
    pub size: SimSize,
    /// Write a page with charts.
    #[arg(long, value_name = "F")]
    pub html: Option<PathBuf>,
}

/// `contract`
#[derive(Subcommand)]
pub enum Contract {
    /// Listen, or dial and ping, as the transport suites of libp2p ask for.
    ///
    /// Everything else is told by the environment: IS_DIALER, REDIS_ADDR, TEST_KEY, TRANSPORT, SECURE_CHANNEL, MUXER,
    /// LISTENER_IP and TEST_TIMEOUT_SECS in unified-testing; is_dialer, redis_addr, transport, security, muxer, ip and
    /// test_timeout_seconds in test-plans. Standard output carries the dialer's result and nothing else.
    Transport {
        /// Which suite; without it the one whose variables are set.
        #[arg(long, value_enum, value_name = "D")]
        dialect: Option<Dialect>,
    },
}

/// Which suite's variables, keys and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// libp2p/unified-testing: `TEST_KEY` and its upper-case companions, YAML.
    UnifiedTesting,
    /// libp2p/test-plans: lower-case variables, one global key, JSON.
    TestPlans,
}

fn parse_key_type(text: &str) -> Result<KeyType> {
    text.parse()
}

/// What every negotiator can offer.
fn parse_protocol(text: &str) -> Result<ProtocolId> {
    let id = ProtocolId::from(text.to_string());
    if id.fits_a_line() {
        return Ok(id);
    }
    let why = format!("“{text}” can't be offered: an id begins with / and is one line of at most 1023 bytes");
    Err(Error::new(Kind::ConfigInvalid, why))
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=64) => Ok(jobs),
        _ => Err("not a number from 1 to 64".to_string()),
    }
}
