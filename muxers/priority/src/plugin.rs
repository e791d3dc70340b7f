//! The plug-in: what it says about itself, and the muxer that its options make.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Driver, Layer, Muxer, MuxerContext, ProtocolId, Result, Session};
use stackwire_driver::DriverTask;
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{ID, NAME, PriorityConfig, connection::Connection, driver, session::PrioritySession};

impl Plugin for PriorityConfig {
    const SUMMARY: Summary = Summary::new(Layer::Muxer, NAME, "streams with priorities and a bound for the connection")
        .ids(&[ID])
        .example(
            r#"receive_window = 16777216                     # bytes the peer may have in flight or unread, all streams together
max_streams = 1024                            # per side; the peer is told and keeps to it
weights = { low = 1, normal = 4, high = 16 }  # how the classes below urgent share the pipe
ping_interval_secs = 30                       # 0: only at the beginning"#,
        )
        .capabilities(Capabilities {
            datagrams: true,
            reset_codes: true,
            priorities: true,
            notes: &[
                "datagrams carry the latest value: a newer one replaces one that was not yet sent or read",
                "streams that nobody reads keep their part of the connection's window",
            ],
            ..Capabilities::DEFAULT
        });

    fn build(self) -> Result<Parts> {
        self.validate()?;
        Ok(Parts::new().muxer(Arc::new(PriorityMuxer(Arc::new(self)))))
    }
}

struct PriorityMuxer(Arc<PriorityConfig>);

impl Muxer for PriorityMuxer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self) -> ProtocolId {
        ID.into()
    }

    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let connection = Arc::new(Connection::new(self.0.clone(), &context));
        let driver = driver::Driver::new(connection.clone(), pipe, context.env.clone());
        let driving = DriverTask::new(connection.clone(), driver);
        (Arc::new(PrioritySession(connection)), Box::pin(driving))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weights;

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        let good = PriorityConfig::default;
        for (config, option) in [
            (PriorityConfig { max_streams: 0, ..good() }, "max_streams"),
            (PriorityConfig { receive_window: 65_535, ..good() }, "receive_window"),
            (PriorityConfig { stream_window: 32 << 20, ..good() }, "stream_window"),
            (PriorityConfig { max_fragment: 65_536, ..good() }, "max_fragment"),
            (PriorityConfig { send_buffer: 100, ..good() }, "send_buffer"),
            (PriorityConfig { max_batch: 16 << 10, ..good() }, "max_batch"),
            (PriorityConfig { weights: Weights { low: 0, ..Default::default() }, ..good() }, "weights.low"),
        ] {
            let error = config.build().err().expect("a config that cannot work");
            assert_eq!(error.kind(), &stackwire_core::Kind::ConfigInvalid);
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn the_example_builds() {
        let descriptor = stackwire_plugin::Descriptor::of::<PriorityConfig>("stackwire-muxer-priority");
        descriptor.build_from(descriptor.summary.example).expect("the example builds");
    }
}
