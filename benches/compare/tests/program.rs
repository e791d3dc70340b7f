//! The program as people run it, without other stacks.

#![allow(clippy::disallowed_methods, reason = "processes run in real time")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stackwire-bench"));
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (Output, String, String) {
    let output = bench(arguments).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.clone(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn rows_are_listed() {
    let (output, text, _) = run(&["list"]);
    assert!(output.status.success());
    assert!(text.lines().any(|line| line.starts_with("bulk-noise-up") && line.contains("target ≥ 1.80×")), "{text}");
}

#[test]
fn an_unknown_row_is_told_what_to_do() {
    let (output, _, errors) = run(&["compare", "--only", "rpc-25"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("no row `rpc-25`") && errors.contains("did you mean `rpc-256`"), "{errors}");
}

#[test]
fn ours_and_the_limits_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (json, html) = (file("rows.json"), file("page.html"));
    let only = "bulk-limit-up,ping-pong,trips-noise,rpc-256";
    let arguments = ["compare", "--quick", "--no-rivals", "--only", only, "--json", &json, "--html", &html];
    let (output, text, errors) = run(&arguments);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("bulk-limit-up") && text.contains("tcp-chacha"), "{text}");
    assert!(text.contains("left out by --no-rivals"), "{text}");
    assert!(errors.contains("[1/"), "progress is shown: {errors}");
    let rows: serde_json::Value = serde_json::from_str(&read(&json)).expect("JSON");
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["row"] == name).unwrap().clone();
    assert!(row("bulk-limit-up")["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{rows:#}");
    assert!(row("trips-noise")["ours"].as_f64().is_some_and(|trips| (2.0..=4.0).contains(&trips)), "{rows:#}");
    assert!(row("rpc-256")["ratio"].is_null() && row("rpc-256")["ours"].is_number(), "{rows:#}");
    assert!(read(&html).ends_with("</html>\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).expect("the file was written")
}

#[test]
fn ctrl_c_stops_everything() {
    let mut running = bench(&["compare", "--only", "bulk-limit-up", "--rounds", "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let id = running.id();
    let deadline = Instant::now() + Duration::from_secs(60);
    while children(id).len() < 2 {
        assert!(Instant::now() < deadline, "no server and client");
        std::thread::sleep(Duration::from_millis(10));
    }
    let started = children(id);
    let told = Command::new("kill").args(["-INT", &id.to_string()]).status().expect("kill runs");
    assert!(told.success());
    assert_eq!(running.wait().expect("it ends").code(), Some(130));
    while started.iter().any(|child| is_alive(*child)) {
        assert!(Instant::now() < deadline, "processes were left behind");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn children(of: u32) -> Vec<u32> {
    let parent = |id: u32| status(id, "PPid:")?.parse::<u32>().ok();
    let all = std::fs::read_dir("/proc").expect("Linux").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|id| parent(*id) == Some(of)).collect()
}

fn is_alive(id: u32) -> bool {
    status(id, "State:").is_some_and(|state| !state.starts_with('Z'))
}

fn status(id: u32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix(key))?.trim().to_string())
}
