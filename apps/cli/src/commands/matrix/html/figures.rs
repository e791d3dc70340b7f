//! The figures of a cell, and how good each is among those of its section.

use super::super::{Cell, Measured};

/// A figure that squares can show.
pub(super) struct Figure {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    of: fn(&Measured) -> f64,
    digits: usize,
    more_is_better: bool,
}

/// The first is shown at first.
pub(super) const FIGURES: [Figure; 4] = [
    Figure { id: "mbits", label: "Mbit/s", of: Measured::mbits, digits: 0, more_is_better: true },
    Figure { id: "ping", label: "Ping ms", of: Measured::ping_ms, digits: 2, more_is_better: false },
    Figure { id: "handshake", label: "Handshake ms", of: |m| m.handshake_ms, digits: 1, more_is_better: false },
    Figure { id: "trips", label: "Round trips", of: |m| f64::from(m.round_trips), digits: 0, more_is_better: false },
];

impl Figure {
    pub(super) fn text(&self, measured: &Measured) -> String {
        self.written((self.of)(measured))
    }

    fn written(&self, value: f64) -> String {
        format!("{value:.*}", self.digits)
    }
}

/// The best and the worst of every figure; none where nothing was measured.
pub(super) struct Scales([Option<(f64, f64)>; 4]);

impl Scales {
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> Self {
        Self(FIGURES.map(|figure| {
            let values = || cells.clone().filter_map(Cell::measured).map(figure.of);
            let (least, most) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
            Some(if figure.more_is_better { (most, least) } else { (least, most) })
        }))
    }

    /// How hot a square is by every figure, as CSS variables: 1 is the best.
    pub(super) fn heat(&self, measured: &Measured) -> String {
        let one = |(figure, scale): (&Figure, &Option<(f64, f64)>)| {
            let (best, worst) = (*scale)?;
            let value = (figure.of)(measured);
            // Logarithms: twice as good looks the same at both ends. What may be 0 begins at 1.
            let log = |value: f64| (value + if figure.id == "trips" { 1.0 } else { 1e-3 }).ln();
            let span = log(best) - log(worst);
            // The sum makes 0 of -0.
            let heat = if span.abs() < 1e-9 { 1.0 } else { (log(value) - log(worst)) / span + 0.0 };
            Some(format!("--{}:{heat:.2}", figure.id))
        };
        FIGURES.iter().zip(&self.0).filter_map(one).collect::<Vec<_>>().join(";")
    }

    /// Which colour means what, for every figure; nothing where nothing was measured.
    pub(super) fn legend(&self) -> String {
        let one = |(figure, scale): (&Figure, &Option<(f64, f64)>)| {
            let (best, worst) = (*scale)?;
            let (best, worst) = (figure.written(best), figure.written(worst));
            let range = match best == worst {
                true => format!("everywhere {best}"),
                false => format!("worst {worst} <i></i> best {best}"),
            };
            Some(format!("<span class=\"{}\"><b>{}</b> {range}</span>", figure.id, figure.label))
        };
        let all: String = FIGURES.iter().zip(&self.0).filter_map(one).collect();
        if all.is_empty() { all } else { format!("<p class=\"legend\">{all}</p>\n") }
    }
}
