//! The machine's own resolver of names.

use std::net::IpAddr;

use async_trait::async_trait;
use hickory_resolver::{TokioResolver, proto::rr::RData};
use stackwire_core::{Lookup, Result};

use crate::lookup::{MAX_RECORDS, unresolved};

/// The machine's own resolver.
pub(crate) struct System;

#[async_trait]
impl Lookup for System {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await.map_err(|e| unresolved(name).caused_by(e))?;
        Ok(found.map(|socket| socket.ip()).collect())
    }

    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|e| unresolved(name).caused_by(e))?;
        let answer = resolver.txt_lookup(format!("{name}.")).await.map_err(|e| unresolved(name).caused_by(e))?;
        let texts = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.take(MAX_RECORDS).collect())
    }
}
