//! Two machines, and a router between them.

use std::{
    fmt,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A network of three namespaces: packets from one go over a router to another, with a rate and a queue. They end with
/// this.
///
/// The queue is the router's and not the sender's own: the kernel's TCP keeps a queue of its own machine short.
#[derive(Debug)]
pub struct Link {
    /// The namespaces: who sends, the router, who receives.
    names: [String; 3],
}

/// What this machine lacks.
#[derive(Clone, Debug)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Link {
    /// The address of the namespace that packets with a rate come from.
    pub const FROM: &str = "10.99.1.1";
    /// The address of the namespace that they go to.
    pub const TO: &str = "10.99.2.1";

    /// A link that carries `kilobits` a second one way, behind a queue that holds what it carries in `queue_ms`; the
    /// other way is not limited. Fails where the machine lacks the right, the tools or the parts of the kernel.
    pub fn new(kilobits: u32, queue_ms: u32) -> Result<Self, Missing> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "r", "b"].map(|side| format!("stackwire-{}-{count}-{side}", std::process::id()));
        // From here on, what was made so far goes when something fails.
        let this = Self { names };
        let [from, router, to] = &this.names;
        for name in &this.names {
            run("ip", &["netns", "add", name])?;
            run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        }
        for (end, port, own, gateway) in
            [(from, "port1", Self::FROM, "10.99.1.2"), (to, "port2", Self::TO, "10.99.2.2")]
        {
            run("ip", &["-n", end, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", router])?;
            for (name, interface, address) in [(end.as_str(), "eth0", own), (router, port, gateway)] {
                // One packet at a time, as on a wire, and not as the kernel passes them between its own parts.
                run("ip", &["-n", name, "link", "set", interface, "gso_max_segs", "1", "up"])?;
                run("ip", &["-n", name, "address", "add", &format!("{address}/24"), "dev", interface])?;
            }
            run("ip", &["-n", end, "route", "add", "default", "via", gateway])?;
        }
        run_in(router, "sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        let (rate, limit) = (format!("{kilobits}kbit"), (kilobits / 8 * queue_ms).to_string());
        let queue = ["qdisc", "add", "dev", "port2", "root", "tbf", "rate", &rate, "burst", "4kb", "limit", &limit];
        run_in(router, "tc", &queue)?;
        Ok(this)
    }

    /// A command that runs where packets with a rate come from.
    pub fn from(&self, program: &str) -> Command {
        self.inside(&self.names[0], program)
    }

    /// A command that runs where they go to.
    pub fn to(&self, program: &str) -> Command {
        self.inside(&self.names[2], program)
    }

    fn inside(&self, name: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name, program]);
        command
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            // The interfaces go with their namespaces; one that was never made is none to remove.
            let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
        }
    }
}

fn run_in(namespace: &str, program: &str, arguments: &[&str]) -> Result<(), Missing> {
    run("ip", &[&["netns", "exec", namespace, program], arguments].concat())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), Missing> {
    let what = || format!("`{program} {}`", arguments.join(" "));
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Err(error) => Err(Missing(format!("{}: {error}", what()))),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Err(Missing(format!("{} says: {why}", what())))
        }
    }
}
