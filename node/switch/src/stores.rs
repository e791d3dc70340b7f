//! What survives a restart, as the switch is given it.

use std::sync::Arc;

use stackwire_core::{Result, Store, store::Bounds};

/// Gives the store of a namespace.
pub type Stores = Arc<dyn Fn(&str, Bounds) -> Result<Arc<dyn Store>> + Send + Sync>;
