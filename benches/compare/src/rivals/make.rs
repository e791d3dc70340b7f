//! Builds rivals.

use std::{
    collections::VecDeque,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use stackwire_contest::Result;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Lines of cargo's that are told when a build fails.
const LAST_LINES: usize = 30;

/// The rivals' workspace.
fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rivals/Cargo.toml")
}

/// Where rivals are built: `rivals` in the folder that this program was built in.
pub fn target_dir() -> PathBuf {
    let beside = || std::env::current_exe().ok()?.ancestors().nth(2).map(Path::to_path_buf);
    let ours = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).or_else(beside);
    ours.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("rivals")
}

/// Builds `package` for speed, with progress shown; at once where nothing has changed. Dropping the future stops it.
pub async fn build(package: &str) -> Result<()> {
    let manifest = manifest();
    if !manifest.is_file() {
        let text = format!("{} is not there; run this program where it was built", manifest.display());
        return Err(text.into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut process = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", package, "--bin", package, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cargo can't be started: {error}; install Rust from https://rustup.rs"))?;
    let show = Show::new(package);
    let mut last = VecDeque::new();
    let mut lines = BufReader::new(process.stderr.take().ok_or("a piped error output is there")?).lines();
    while let Some(line) = lines.next_line().await? {
        show.line(&line);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    match process.wait().await?.success() {
        true => Ok(()),
        false => Err(format!("it can't be built:\n{}", Vec::from(last).join("\n")).into()),
    }
}

/// Cargo's lines: the last one at a terminal, all of them elsewhere.
struct Show {
    package: String,
    bar: Option<ProgressBar>,
}

impl Show {
    fn new(package: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} building {prefix} ({elapsed})  {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(package.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { package: package.to_string(), bar }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.trim().to_string()),
            None => anstream::eprintln!("building {}: {line}", self.package),
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
