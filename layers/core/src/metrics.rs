//! Metrics: numbers about a node, for whoever watches many of them.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter,
        family::{Family, MetricConstructor},
        gauge, histogram,
    },
    registry::{Metric, Registry},
};

use crate::{Error, Kind, Layer, Result};

/// Only grows.
pub type Counter = counter::Counter;
/// Goes up and down.
pub type Gauge = gauge::Gauge;
/// How values are distributed.
pub type Histogram = histogram::Histogram;

/// Names that a node may have metrics of.
const MAX_NAMES: usize = 512;
/// Sets of labels of one name.
const MAX_LABELS: usize = 64;

/// A set of labels: names and values, such as `[("direction", "inbound")]`. Never a peer or an address: strangers must not
/// decide how many there are.
pub type Labels = Vec<(&'static str, &'static str)>;

/// The metrics of one network of a node. Cheap to clone; clones are the same. Whoever asks for the same name and labels twice
/// gets the same metric, so that a plug-in that is made anew goes on counting.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    registry: Registry,
    families: BTreeMap<&'static str, Kept>,
}

/// The metrics of one name.
struct Kept {
    /// A family of one of the three kinds.
    family: Box<dyn Any + Send>,
    /// Its sets of labels.
    labels: usize,
}

impl Metrics {
    /// A counter called `name` (in small letters, digits and `_`, with the plug-in's name in front). `help` is a sentence
    /// without its full stop. Fails with `Internal` where the name is another kind of metric, and `LimitExceeded` beyond 512
    /// names or 64 sets of labels of one.
    pub fn counter(&self, name: &'static str, help: &str, labels: &[(&'static str, &'static str)]) -> Result<Counter> {
        self.metric(name, help, labels, Family::<Labels, Counter>::default)
    }

    /// A gauge; see [`Metrics::counter`].
    pub fn gauge(&self, name: &'static str, help: &str, labels: &[(&'static str, &'static str)]) -> Result<Gauge> {
        self.metric(name, help, labels, Family::<Labels, Gauge>::default)
    }

    /// A histogram of seconds, from a tenth of a millisecond to a minute; see [`Metrics::counter`].
    pub fn seconds(
        &self,
        name: &'static str,
        help: &str,
        labels: &[(&'static str, &'static str)],
    ) -> Result<Histogram> {
        let make: fn() -> Histogram = || Histogram::new(histogram::exponential_buckets(0.0001, 2.0, 20));
        self.metric(name, help, labels, || Family::new_with_constructor(make))
    }

    /// The metric of these labels in the family called `name`, which is made if there is none.
    fn metric<M: Clone, C: MetricConstructor<M>>(
        &self,
        name: &'static str,
        help: &str,
        labels: &[(&'static str, &'static str)],
        make: impl FnOnce() -> Family<Labels, M, C>,
    ) -> Result<M>
    where
        Family<Labels, M, C>: Metric + Clone,
    {
        let mut state = self.0.lock();
        let State { registry, families } = &mut *state;
        check_names(families, name)?;
        let kept = families.entry(name).or_insert_with(|| {
            let family = make();
            registry.register(name, help, family.clone());
            Kept { family: Box::new(family), labels: 0 }
        });
        let family = kept.family.downcast_ref::<Family<Labels, M, C>>().ok_or_else(|| other_kind(name))?;
        let labels = labels.to_vec();
        check_labels(name, &mut kept.labels, family.get(&labels).is_some())?;
        Ok(family.get_or_create_owned(&labels))
    }

    /// All of them in the OpenMetrics text format (`application/openmetrics-text; version=1.0.0`).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // A text takes whatever is written to it.
        let _ = encode(&mut text, &self.0.lock().registry);
        text
    }
}

fn check_names(families: &BTreeMap<&'static str, Kept>, name: &'static str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(failed(Kind::Internal, format!("`{name}` is no name of a metric")));
    }
    if families.len() >= MAX_NAMES && !families.contains_key(name) {
        let kind = Kind::LimitExceeded { limit: "metrics", max: MAX_NAMES as u64 };
        return Err(failed(kind, format!("registering the metric {name}")));
    }
    Ok(())
}

fn check_labels(name: &'static str, count: &mut usize, known: bool) -> Result<()> {
    if !known && *count >= MAX_LABELS {
        let kind = Kind::LimitExceeded { limit: "sets of labels of a metric", max: MAX_LABELS as u64 };
        return Err(failed(kind, format!("registering the metric {name}")));
    }
    *count += usize::from(!known);
    Ok(())
}

fn other_kind(name: &'static str) -> Error {
    failed(Kind::Internal, format!("the metric {name} is of another kind"))
}

fn failed(kind: Kind, why: String) -> Error {
    Error::new(kind, why).at(Layer::Node, "metrics")
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} metrics", self.0.lock().families.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_is_the_same_metric() {
        let metrics = Metrics::default();
        let inbound = [("direction", "inbound")];
        metrics.counter("streams", "Streams", &inbound).unwrap().inc();
        metrics.counter("streams", "Streams", &inbound).unwrap().inc();
        metrics.counter("streams", "Streams", &[("direction", "outbound")]).unwrap().inc();
        metrics.gauge("connections", "Connections", &[]).unwrap().set(-3);
        metrics.seconds("dial_seconds", "Dials", &[]).unwrap().observe(0.01);
        let text = metrics.encode();
        for line in [
            "# HELP streams Streams.",
            "streams_total{direction=\"inbound\"} 2",
            "streams_total{direction=\"outbound\"} 1",
            "connections -3",
            "dial_seconds_count 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
    }

    #[test]
    fn names_kinds_and_labels_are_checked_and_bounded() {
        let metrics = Metrics::default();
        assert!(metrics.counter("No Name", "", &[]).is_err() && metrics.counter("", "", &[]).is_err());
        metrics.counter("one", "One", &[]).unwrap();
        assert!(metrics.gauge("one", "One", &[]).is_err());
        let labels: Vec<&'static str> = (0..MAX_LABELS).map(|n| &*format!("{n}").leak()).collect();
        for label in &labels[1..] {
            metrics.counter("one", "One", &[("n", label)]).unwrap();
        }
        let error = metrics.counter("one", "One", &[("n", "more")]).unwrap_err();
        assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
        metrics.counter("one", "One", &[("n", labels[1])]).expect("it is there already");
    }
}
