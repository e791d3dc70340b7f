//! What a config may say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Summary};

use crate::{NAME, Unix};

/// Options of `unix`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnixConfig {
    /// Who may connect to our listeners: the rights of the socket's file, in octal as for chmod. Connecting needs the
    /// right to write. They are set before anybody can connect. Windows has no such rights and ignores it. Default:
    /// "0600", the owner alone.
    pub mode: String,
    /// How many connections the operating system holds for a listener that were not yet accepted, as far as it allows
    /// so many; at least 1. Windows holds one. Default: 1024.
    #[schemars(range(min = 1, max = 65535))]
    pub backlog: u16,
    /// How many bytes are read from the operating system at a time, 1 to 16777216. Only a connection that holds unread
    /// bytes has such a buffer. Default: 65536.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub read_buffer: u32,
}

impl Default for UnixConfig {
    fn default() -> Self {
        Self { mode: "0600".into(), backlog: 1024, read_buffer: 64 * 1024 }
    }
}

impl Plugin for UnixConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Transport, NAME, "sockets of this machine: unix-domain sockets, named pipes on Windows")
            .ids(&["/unix"])
            .example(
                "mode = \"0600\"        # who may connect: the owner; \"0660\" adds the group\n\
                 backlog = 1024       # connections the system holds until they are accepted\n\
                 read_buffer = 65536  # bytes read at a time\n",
            )
            .capabilities(Capabilities {
                notes: &[
                    "the path begins at the root: /unix/run/stackwire/node.sock is /run/stackwire/node.sock",
                    "listening on a folder makes a socket of a free name in it",
                    "on Windows: named pipes; the peer learns of a close when the pipe is dropped",
                ],
                ..Capabilities::DEFAULT
            })
            .fixtures(&[Fixture { label: "unix", options: "", listen: "/unix{tmp}" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Unix::new(self)?)))
    }
}

/// A config that was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    #[cfg_attr(windows, expect(dead_code, reason = "named pipes have no such rights"))]
    pub(crate) mode: u32,
    #[cfg_attr(windows, expect(dead_code, reason = "named pipes have no queue"))]
    pub(crate) backlog: u32,
    pub(crate) read_buffer: usize,
}

impl UnixConfig {
    /// The largest `read_buffer`: more is no faster, and every busy connection has one.
    const MAX_READ_BUFFER: u32 = 16 * 1024 * 1024;

    /// Checks what the types leave open.
    pub(crate) fn check(&self) -> Result<Checked> {
        let invalid = |problem: &str| Error::new(Kind::ConfigInvalid, problem.to_string()).at(Layer::Transport, NAME);
        if self.backlog == 0 {
            return Err(invalid("`backlog` must be at least 1, or nobody could ever connect"));
        }
        if !(1..=Self::MAX_READ_BUFFER).contains(&self.read_buffer) {
            return Err(invalid("`read_buffer` must be between 1 and 16777216 bytes"));
        }
        let digits = self.mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&self.mode, 8).ok().filter(|mode| digits && *mode <= 0o777);
        let mode = mode.ok_or_else(|| invalid("`mode` must be octal rights such as \"0600\" or \"0660\""))?;
        Ok(Checked { mode, backlog: self.backlog.into(), read_buffer: self.read_buffer as usize })
    }
}
