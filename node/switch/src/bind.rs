//! Listening below the upgrade, for wires that prove their peers in their own way.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::stream::BoxStream;
use stackwire_core::{Incoming, Listener, Multiaddr, Result, Role};

use crate::{listen, shared::Shared};

/// Listens on `address` with the transport that takes it. The gate is asked about whoever arrives.
pub(crate) async fn bind(shared: &Arc<Shared>, address: &Multiaddr) -> Result<Box<dyn Listener>> {
    shared.check_open()?;
    let active = shared.active();
    let transport = active.transport(Role::Listener, address, |transport| transport.can_listen(address))?;
    let inner = listen::open(shared, &**transport, address).await?;
    Ok(Box::new(Gated { inner, node: Arc::downgrade(shared) }))
}

struct Gated {
    inner: Box<dyn Listener>,
    /// Who holds a listener keeps no node running.
    node: Weak<Shared>,
}

#[async_trait]
impl Listener for Gated {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.inner.addresses()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            let incoming = self.inner.accept().await?;
            let Some(node) = self.node.upgrade() else { return Ok(incoming) };
            if listen::may_pass(&node, &self.inner.addresses(), &incoming.remote) {
                return Ok(incoming);
            }
        }
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        self.inner.watch()
    }
}
