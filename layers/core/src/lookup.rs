//! What names lead to.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::{Error, Kind, Result};

/// Looks names up. Dropping a future gives the question up; time limits are the caller's.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a host.
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>>;
    /// The TXT records of a name, each as one text.
    async fn texts(&self, name: &str) -> Result<Vec<String>>;
}

/// Knows no names. For runtimes that have no resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl NoLookup {
    fn fails<T>(name: &str) -> Result<T> {
        Err(Error::new(Kind::Unsupported, format!("looking up {name}: this runtime has no resolver of names")))
    }
}

#[async_trait]
impl Lookup for NoLookup {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        Self::fails(name)
    }

    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        Self::fails(name)
    }
}
