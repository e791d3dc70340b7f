//! Whom a network refuses: the lists of its configuration, and then the application's gate.

use std::sync::Arc;

use parking_lot::RwLock;
use stackwire_core::{AccessList, ConnectionInfo, Gate, Multiaddr, PeerId, PublicKey, Refusal, Role};

/// Asks one gate after the other. The first refusal counts.
pub(crate) struct Gates {
    lists: RwLock<Arc<AccessList>>,
    application: Arc<dyn Gate>,
}

impl Gates {
    pub(crate) fn new(lists: AccessList, application: Arc<dyn Gate>) -> Self {
        Self { lists: RwLock::new(Arc::new(lists)), application }
    }

    /// Takes new lists.
    pub(crate) fn configure(&self, lists: AccessList) {
        *self.lists.write() = Arc::new(lists);
    }

    fn lists(&self) -> Arc<AccessList> {
        self.lists.read().clone()
    }

    /// Why a connection that there is would be refused now, if it would be.
    pub(crate) fn would_refuse(&self, info: &ConnectionInfo) -> Option<Refusal> {
        let lists = self.lists();
        lists.check_peer(&info.peer).and_then(|()| lists.check_host(&info.path.remote)).err()
    }
}

impl Gate for Gates {
    fn dial(&self, peer: Option<&PeerId>, address: &Multiaddr) -> Result<(), Refusal> {
        self.lists().dial(peer, address)?;
        self.application.dial(peer, address)
    }

    fn accept(&self, local: &[Multiaddr], remote: &Multiaddr) -> Result<(), Refusal> {
        self.lists().accept(local, remote)?;
        self.application.accept(local, remote)
    }

    fn secured(&self, role: Role, key: &PublicKey, remote: &Multiaddr) -> Result<(), Refusal> {
        self.lists().secured(role, key, remote)?;
        self.application.secured(role, key, remote)
    }

    fn connected(&self, info: &ConnectionInfo, others: &[&ConnectionInfo]) -> Result<(), Refusal> {
        self.application.connected(info, others)
    }
}
