//! A service: a protocol that counts its callers, and a trait by which the rest of the program asks for the count.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use stackwire_core::{Host, Layer, Protocol, ProtocolId, Result, Stream};
use stackwire_plugin::{Parts, Plugin, Summary, register, schemars, serde};
use tokio::io::AsyncWriteExt;

/// What others find by `host.service::<dyn Tally>()`.
pub trait Tally: Send + Sync {
    /// How many streams were served.
    fn served(&self) -> u64;
}

/// Options of `tally`: none.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct TallyConfig {}

impl Plugin for TallyConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Protocol, "tally", "counts its callers, as an example").ids(&["/tally/1.0.0"]);

    fn build(self) -> Result<Parts> {
        // One object, one state: as a protocol, and as a service.
        let counter = Arc::new(Counter::default());
        Ok(Parts::new().protocol(counter.clone()).service::<dyn Tally>(counter))
    }
}

register!(TallyConfig);

#[derive(Default)]
struct Counter(AtomicU64);

impl Tally for Counter {
    fn served(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Protocol for Counter {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new("/tally/1.0.0")]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        stream.write_all(&number.to_be_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}
