//! What a comparison has found.

pub mod html;
pub mod json;
mod table;
pub mod text;

use std::collections::BTreeMap;

use crate::{
    figures::{Figure, Summary},
    rows::{Goal, Of, Pace, Row},
    run::{Busy, Machine},
};

/// A whole comparison.
pub struct Report {
    /// Where, and with what.
    pub machine: Machine,
    /// How often everything was measured.
    pub rounds: usize,
    /// For how long.
    pub pace: Pace,
    /// Its rows.
    pub rows: Vec<RowReport>,
}

/// One row of it.
pub struct RowReport {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub what: &'static str,
    /// What counts.
    pub figure: Figure,
    /// How good it is to be.
    pub goal: Option<Goal>,
    /// Another figure that ours must have besides, at least.
    pub provided: Option<(Figure, f64)>,
    /// Everybody, we first.
    pub contestants: Vec<Contestant>,
    /// How busy the machine was with other things, at the worst.
    pub busy: Busy,
}

/// What one stack did in a row.
pub struct Contestant {
    /// Its name.
    pub stack: &'static str,
    /// Every figure of all runs.
    pub figures: BTreeMap<Figure, Vec<f64>>,
    /// Why there are no more.
    pub missing: Option<String>,
}

impl Report {
    /// Whether everything of ours ran.
    pub fn ours_work(&self) -> bool {
        let all = self.rows.iter().flat_map(|row| &row.contestants);
        all.filter(|contestant| crate::program::stacks().any(|name| name == contestant.stack))
            .all(|contestant| contestant.missing.is_none())
    }

    /// How often everything was measured, for people.
    fn rounds_text(&self) -> String {
        match self.rounds {
            1 => "one round".to_string(),
            n => format!("{n} rounds"),
        }
    }

    /// How many rows have a goal and figures; how many of them met the target, and the stretch.
    pub fn counts(&self) -> [usize; 3] {
        let count = |of: &dyn Fn(&RowReport) -> bool| self.rows.iter().filter(|row| of(row)).count();
        [
            count(&|row| row.met().is_some()),
            count(&|row| row.met() == Some(true)),
            count(&|row| row.stretch_met() == Some(true)),
        ]
    }
}

impl Contestant {
    /// One stack's runs.
    pub fn new(stack: &'static str, figures: BTreeMap<Figure, Vec<f64>>, missing: Option<String>) -> Self {
        Self { stack, figures, missing }
    }

    /// The middle and the ends of a figure, where it was measured.
    pub fn summary(&self, figure: Figure) -> Option<Summary> {
        Summary::of(self.figures.get(&figure)?)
    }
}

impl RowReport {
    /// What `contestants` did in `row`; they are in the row's order.
    pub fn new(row: &Row, contestants: Vec<Contestant>, busy: Busy) -> Self {
        let Row { name, what, figure, goal, provided, .. } = *row;
        Self { name, what, figure, goal, provided, contestants, busy }
    }

    /// We.
    pub fn ours(&self) -> Option<&Contestant> {
        self.contestants.first()
    }

    /// The best of the others by the median of what counts.
    pub fn rival(&self) -> Option<&Contestant> {
        let median = |contestant: &Contestant| contestant.summary(self.figure).map(|summary| summary.median);
        let others = self.contestants.iter().skip(1).filter(|contestant| median(contestant).is_some());
        others.reduce(|best, other| match (median(best), median(other)) {
            (Some(a), Some(b)) if !self.figure.better().meets(a, b) => other,
            _ => best,
        })
    }

    /// The median of what counts, of ours.
    pub fn our_figure(&self) -> Option<f64> {
        Some(self.ours()?.summary(self.figure)?.median)
    }

    /// The same of the best rival.
    pub fn rival_figure(&self) -> Option<f64> {
        Some(self.rival()?.summary(self.figure)?.median)
    }

    /// Ours divided by the best rival's.
    pub fn ratio(&self) -> Option<f64> {
        self.rival_figure().filter(|rival| *rival != 0.0).and_then(|rival| Some(self.our_figure()? / rival))
    }

    /// What the goal is about.
    pub fn achieved(&self) -> Option<f64> {
        match self.goal?.of {
            Of::Ratio => self.ratio(),
            Of::Figure => self.our_figure(),
        }
    }

    /// Whether the target is met, where there is one and figures for it.
    pub fn met(&self) -> Option<bool> {
        self.meets(self.goal?.target)
    }

    /// The same of the stretch.
    pub fn stretch_met(&self) -> Option<bool> {
        self.meets(self.goal?.stretch)
    }

    fn meets(&self, goal: f64) -> Option<bool> {
        let good = self.figure.better().meets(self.achieved()?, goal);
        Some(good && self.proviso().is_none_or(|(_, value, least)| value >= least))
    }

    /// The other figure that ours must have: which, what it is, what it must be.
    pub fn proviso(&self) -> Option<(Figure, f64, f64)> {
        let (figure, least) = self.provided?;
        Some((figure, self.ours()?.summary(figure)?.median, least))
    }

    /// Why figures are missing, by stack; a reason that several share once.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps: Vec<(Vec<&str>, &str)> = Vec::new();
        for contestant in &self.contestants {
            let Some(why) = &contestant.missing else { continue };
            match gaps.iter_mut().find(|(_, reason)| reason == why) {
                Some((stacks, _)) => stacks.push(contestant.stack),
                None => gaps.push((vec![contestant.stack], why)),
            }
        }
        gaps.into_iter().map(|(stacks, why)| format!("{}: {why}", stacks.join(", "))).collect()
    }
}

#[cfg(test)]
pub mod sample;
#[cfg(test)]
mod tests;
