//! Counts what a peer acknowledges: of all that quinn tells, only a congestion controller hears of it.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::{
    Connection,
    congestion::{Controller, ControllerFactory, ControllerMetrics},
};
use quinn_proto::RttEstimator;

/// Makes controllers that count.
pub(crate) struct Counting(pub(crate) Arc<dyn ControllerFactory + Send + Sync>);

/// A controller, and how many packets were acknowledged that had not been before.
struct Counted {
    inner: Box<dyn Controller>,
    acked: u64,
}

/// How many packets the peer has acknowledged, as far as they ask for it. Begins anew where the path changes.
pub(crate) fn acked(connection: &Connection) -> u64 {
    let state = connection.congestion_state().into_any();
    state.downcast::<Counted>().map_or(0, |counted| counted.acked)
}

impl ControllerFactory for Counting {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Counted { inner: self.0.clone().build(now, current_mtu), acked: 0 })
    }
}

impl Controller for Counted {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.acked += 1;
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { inner: self.inner.clone_box(), acked: self.acked })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
