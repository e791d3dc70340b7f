//! The rows of the comparison, as data.

mod pace;
mod table;

use stackwire_contest::{Result, Workload};

pub use self::{
    pace::{Pace, time_limit},
    table::ROWS,
};
use crate::{figures::Figure, link::Shape};

/// One row: who does what, what of it counts, and how good it is to be.
#[derive(Debug)]
pub struct Row {
    /// What `--only` takes.
    pub name: &'static str,
    /// What it tells, for people.
    pub what: &'static str,
    /// Our stack.
    pub ours: &'static str,
    /// Whom it is compared with: the best of them.
    pub rivals: &'static [&'static str],
    /// What they do.
    pub workload: Workload,
    /// What stands between client and server, if anything.
    pub link: Option<Shape>,
    /// What counts.
    pub figure: Figure,
    /// How good it is to be; none for rows that only tell.
    pub goal: Option<Goal>,
    /// Another figure that ours must have besides, at least.
    pub provided: Option<(Figure, f64)>,
}

/// How good a row is to be. What is better, more or less, the figure says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What of ours is meant.
    pub of: Of,
    /// To be reached.
    pub target: f64,
    /// To be hoped for.
    pub stretch: f64,
}

/// What a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Our figure divided by the rival's.
    Ratio,
    /// Our figure itself.
    Figure,
}

impl Goal {
    /// What it is about, at `value`: `2.17×` or `12.0 KiB`.
    pub fn value(&self, figure: Figure, value: f64) -> String {
        match self.of {
            Of::Ratio => ratio_text(value),
            Of::Figure => figure.text(value),
        }
    }

    /// The target, such as `≥ 1.80×`.
    pub fn target_text(&self, figure: Figure) -> String {
        format!("{} {}", figure.better().sign(), self.value(figure, self.target))
    }

    /// The stretch.
    pub fn stretch_text(&self, figure: Figure) -> String {
        format!("{} {}", figure.better().sign(), self.value(figure, self.stretch))
    }
}

/// A ratio for people.
pub fn ratio_text(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

impl Row {
    /// Whoever is measured, we first.
    pub fn stacks(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.ours).chain(self.rivals.iter().copied())
    }

    /// The workload at that pace.
    pub fn at(&self, pace: Pace) -> Workload {
        pace.of(&self.workload)
    }
}

/// The rows of these names, in the order of the table; a name may end in `*`. All where none is named.
pub fn named(only: &[String]) -> Result<Vec<&'static Row>> {
    let fits = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    };
    if let Some(unknown) = only.iter().find(|pattern| !ROWS.iter().any(|row| fits(pattern, row.name))) {
        let near = ROWS.iter().map(|row| row.name).find(|name| name.contains(unknown.trim_end_matches('*')));
        let hint = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        return Err(format!("there is no row `{unknown}`; {hint}`stackwire-bench list` names them all").into());
    }
    Ok(ROWS.iter().filter(|row| only.is_empty() || only.iter().any(|pattern| fits(pattern, row.name))).collect())
}

/// All of them, a line each.
pub fn list() -> String {
    let wide = ROWS.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let line = |row: &Row| {
        let goal = row.goal.map_or_else(String::new, |goal| {
            format!("; target {}, stretch {}", goal.target_text(row.figure), goal.stretch_text(row.figure))
        });
        format!(
            "{:wide$}  {}{goal}
",
            row.name, row.what
        )
    };
    ROWS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{figures::Better, program, rivals::Rival};

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: HashSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for name in names {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(good) && !name.starts_with('-'), "{name}");
        }
    }

    #[test]
    fn every_stack_exists() {
        let known: HashSet<_> =
            program::stacks().chain(Rival::ALL.iter().flat_map(|r| r.stacks.iter().copied())).collect();
        for row in ROWS {
            for stack in row.stacks() {
                assert!(known.contains(stack), "{}: {stack}", row.name);
            }
            assert!(row.ours.starts_with("ours-"), "{}", row.name);
        }
    }

    #[test]
    fn a_stretch_is_further_than_its_target() {
        for row in ROWS {
            let Some(goal) = row.goal else { continue };
            match row.figure.better() {
                Better::Higher => assert!(goal.stretch >= goal.target, "{}", row.name),
                Better::Lower => assert!(goal.stretch <= goal.target, "{}", row.name),
            }
            assert!(goal.of == Of::Figure || !row.rivals.is_empty(), "{}: a ratio to nobody", row.name);
        }
    }

    #[test]
    fn what_counts_is_measured() {
        for row in ROWS {
            for figure in [Some(row.figure), row.provided.map(|(figure, _)| figure)].into_iter().flatten() {
                assert!(figure.measured_by(&row.workload, row.link.is_some()), "{}: {figure:?}", row.name);
            }
        }
    }

    #[test]
    fn rows_are_chosen_by_name_or_beginning() {
        assert_eq!(named(&[]).unwrap().len(), ROWS.len());
        let some = named(&["rpc-1".into(), "connect-*".into()]).unwrap();
        assert!(some.iter().all(|row| row.name == "rpc-1" || row.name.starts_with("connect-")));
        assert!(some.len() >= 3);
        let error = named(&["noise-up".into()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `bulk-noise-up`"), "{error}");
    }
}
