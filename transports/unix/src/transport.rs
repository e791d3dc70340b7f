//! Dialing and listening.

use std::io;

use async_trait::async_trait;
use stackwire_core::{Dial, Dialed, Error, Kind, Layer, Listen, Listener, Multiaddr, Result, Retry, Stage, Transport};
use stackwire_socket::Pause;

use crate::{NAME, UnixConfig, config::Checked, listener::UnixListener, path, pipe::pipe, system};

/// Connects programs of one machine; see the crate's description.
#[derive(Clone, Debug)]
pub struct Unix {
    config: Checked,
}

impl Unix {
    /// A transport with these options. Fails with `ConfigInvalid` where one is out of its range.
    pub fn new(config: UnixConfig) -> Result<Self> {
        Ok(Self { config: config.check()? })
    }
}

impl Default for Unix {
    fn default() -> Self {
        Self::new(UnixConfig::default()).expect("the defaults are in range")
    }
}

#[async_trait]
impl Transport for Unix {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        // A path that is too long is ours too: dialing and listening say what is wrong with it.
        path::name_of(address).is_some()
    }

    /// No round trip: the operating system connects the two. Dropping the future closes the connection.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let address = dial.address;
        let name = path::require(address, "dialed")?;
        system::fits(&name).map_err(|why| unfit(address, why))?;
        let connection = system::connect(&name, dial.env).await.map_err(|e| dial_error(address, e))?;
        let pipe = pipe(connection, self.config.read_buffer);
        Ok(Dialed { stage: Stage::Raw(Box::new(pipe)), local: Some(address.clone()), round_trips: 0 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let address = listen.address;
        let name = path::require(address, "listened on")?;
        system::fits(&name).map_err(|why| unfit(address, why))?;
        let (socket, name) = system::Socket::bind(&name, &self.config, listen.env)
            .map_err(|(fix, e)| Error::io(format!("listening on {address}: {fix}"), e).at(Layer::Transport, NAME))?;
        let (config, pause) = (self.config, Pause::new(listen.env));
        Ok(Box::new(UnixListener { config, socket, address: path::address_of(&name), pause }))
    }
}

fn dial_error(address: &Multiaddr, error: io::Error) -> Error {
    let error = match system::unreachable(&error) {
        Some(why) => Error::new(Kind::Unreachable, format!("dialing {address}: {why}")).caused_by(error),
        // The rights of this one socket; others may be ours.
        None if error.kind() == io::ErrorKind::PermissionDenied => {
            Error::io(format!("dialing {address}"), error).retry_advice(Retry::OtherAddress)
        }
        None => Error::io(format!("dialing {address}"), error),
    };
    error.at(Layer::Transport, NAME)
}

fn unfit(address: &Multiaddr, why: String) -> Error {
    Error::new(Kind::AddressInvalid, format!("{address}: {why}")).at(Layer::Transport, NAME)
}
