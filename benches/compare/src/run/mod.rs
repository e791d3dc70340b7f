//! Runs the comparison: every row, everybody in it by turns.

mod busy;
mod child;
mod machine;
mod measure;
mod pauses;
mod progress;
mod stop;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use stackwire_contest::Result;

pub use self::{busy::Busy, child::Child, machine::Machine, pauses::Pauses};
use self::{
    measure::{Failure, Job, measure},
    progress::Progress,
};
use crate::{
    figures::{Figure, figures},
    report::{self, Contestant, Report, RowReport},
    rivals::{Choice, Programs},
    rows::{Pace, Row},
};

/// What to compare, and where to say how it went.
pub struct Plan {
    /// Which rows.
    pub rows: Vec<&'static Row>,
    /// How long measurements take.
    pub pace: Pace,
    /// How often each is made.
    pub rounds: usize,
    /// Which rivals take part.
    pub rivals: Choice,
    /// Where the page goes.
    pub html: Option<PathBuf>,
    /// Where the rows go for machines.
    pub json: Option<PathBuf>,
}

/// Runs it, prints the table and writes the files. The exit code is 1 where something of ours failed to run, 130 after
/// Ctrl-C; a missed target is no failure.
pub async fn compare(plan: Plan) -> Result<ExitCode> {
    // Before hours of measuring, not after.
    for path in [&plan.html, &plan.json].into_iter().flatten() {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    }
    stackwire_contest::raise_limits();
    let report = tokio::select! {
        biased;
        code = stop::told() => return Ok(code.into()),
        report = run(&plan) => report?,
    };
    anstream::print!("{}", report::text::render(&report));
    if let Some(path) = &plan.json {
        write(path, &report::json::render(&report)?)?;
    }
    if let Some(path) = &plan.html {
        write(path, &report::html::page(&report))?;
    }
    Ok(if report.ours_work() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    anstream::eprintln!("written: {}", path.display());
    Ok(())
}

async fn run(plan: &Plan) -> Result<Report> {
    let stacks: BTreeSet<_> = plan.rows.iter().flat_map(|row| row.stacks()).collect();
    let programs = Programs::of(&stacks, &plan.rivals).await?;
    let machine = Machine::here(programs.versions.clone(), Pauses::here());
    if !machine.is_fast() {
        let profile = machine.profile;
        anstream::eprintln!(
            "this is a {profile} build, and its figures mean little: run it with `cargo run --profile dist`"
        );
    }
    let worth = plan.rows.iter().filter(|row| tells_something(row, &programs));
    let worth: Vec<&Row> = worth.copied().collect();
    let all = worth.iter().map(|row| row.stacks().count() * plan.rounds).sum::<usize>();
    let mut progress = Progress::new(all as u64);
    let mut rows = Vec::new();
    for row in worth {
        rows.push(run_row(plan, row, &programs, &mut progress).await);
    }
    Ok(Report { machine, rounds: plan.rounds, pace: plan.pace, rows })
}

/// Whether a row has a goal, or somebody to be beside; says so where it has not.
fn tells_something(row: &Row, programs: &Programs) -> bool {
    let missing: Option<Vec<String>> = row.rivals.iter().map(|rival| programs.program(rival).err()).collect();
    match missing.as_deref() {
        Some([why, ..]) if row.goal.is_none() => {
            anstream::eprintln!("{}, beside {}: {why}", row.name, row.rivals.join(", "));
            false
        }
        _ => true,
    }
}

/// One contestant's runs so far.
struct Runs {
    stack: &'static str,
    program: Result<PathBuf, String>,
    figures: BTreeMap<Figure, Vec<f64>>,
}

/// Measures everybody in a row by turns: A B A B, with the order reversed every second round, so that what changes
/// while we measure, and who comes first, strikes all of them alike.
async fn run_row(plan: &Plan, row: &Row, programs: &Programs, progress: &mut Progress) -> RowReport {
    let workload = row.at(plan.pace);
    let mut busy = Vec::new();
    let mut runs: Vec<Runs> =
        row.stacks().map(|stack| Runs { stack, program: programs.program(stack), figures: BTreeMap::new() }).collect();
    for round in 0..plan.rounds {
        let mut turns: Vec<&mut Runs> = runs.iter_mut().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            let Ok(program) = &turn.program else {
                progress.skip();
                continue;
            };
            let what = format!("{} {}", row.name, turn.stack);
            progress.begin(&what);
            let job = Job {
                program: program.clone(),
                own: programs.own(),
                stack: turn.stack,
                workload: &workload,
                link: row.link,
            };
            let measured = match measure(&job).await {
                Ok((run, others)) => {
                    busy.push(others);
                    figures(&workload, &run).map_err(Failure::from)
                }
                Err(failure) => Err(failure),
            };
            match measured {
                Ok(measured) => {
                    let headline = measured.get(&row.figure).map(|value| row.figure.text(*value));
                    progress.end(&what, headline.as_deref().unwrap_or("-"));
                    for (figure, value) in measured {
                        turn.figures.entry(figure).or_default().push(value);
                    }
                }
                Err(failure) => {
                    let why = match failure {
                        Failure::NotSupported(why) => format!("can't do this: {why}"),
                        Failure::Failed(why) => format!("failed: {why}"),
                    };
                    progress.fail(&what, &why);
                    turn.program = Err(why);
                }
            }
        }
    }
    let contestants = runs.into_iter().map(|runs| Contestant::new(runs.stack, runs.figures, runs.program.err()));
    RowReport::new(row, contestants.collect(), Busy::worst(&busy))
}
