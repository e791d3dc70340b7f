//! Scopes of connections that nobody has seen yet.

use std::{fmt, sync::Arc};

use super::Budget;
use crate::Multiaddr;

/// Makes the scopes of connections that arrive, by where each comes from: for a listener whose transport brings streams
/// along and so has to know the scope before anybody has seen the connection.
#[derive(Clone)]
pub struct Budgets(Arc<dyn Fn(&Multiaddr) -> Budget + Send + Sync>);

impl Budgets {
    /// Scopes that `make` makes. It is called once a connection.
    pub fn new(make: impl Fn(&Multiaddr) -> Budget + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// No limits.
    pub fn unlimited() -> Self {
        Self::new(|_| Budget::unlimited())
    }

    /// The scope of a connection from `remote`.
    pub fn of(&self, remote: &Multiaddr) -> Budget {
        (self.0)(remote)
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budgets")
    }
}
