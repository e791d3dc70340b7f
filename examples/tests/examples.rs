//! The examples do what they say, run as a user runs them, and are as short as the documentation promises.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn example(name: &str) -> Command {
    // Tests and examples are built into neighbouring folders.
    let target = std::env::current_exe().expect("a test has a path");
    let folder: PathBuf = target.ancestors().nth(2).expect("…/deps/test").join("examples");
    Command::new(folder.join(name))
}

fn lines(file: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).expect("the example exists").lines().count()
}

#[test]
fn echo_answers_in_forty_lines() {
    let output = example("echo").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("the answer is hello"), "{output:?}");
    assert!(text.contains("connected by tcp / noise / yamux"), "{text}");
    assert!(lines("echo.rs") <= 40);
}

#[test]
fn a_file_is_dropped_in_eighty_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&file, &bytes).expect("a file");
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).expect("a folder");

    let mut receiver = example("file_drop").arg("receive").arg(&inbox).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut told = BufReader::new(receiver.stdout.take().expect("it was piped")).lines();
    let address = told.next().expect("an address").expect("it is text");
    let sender = example("file_drop").arg("send").arg(&address).arg(&file).output().expect("it runs");
    let received = told.next().expect("a confirmation").expect("it is text");
    receiver.kill().expect("it was running");
    receiver.wait().expect("it ended");

    assert!(sender.status.success(), "{sender:?}");
    let name = received.strip_prefix("received ").expect("it says where");
    assert_eq!(std::fs::read(name).expect("the file is there"), bytes);
    assert!(lines("file_drop.rs") <= 80);
}

#[test]
fn a_set_of_validators_changes_and_those_who_stay_lose_nothing() {
    let output = example("validators").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let (before, after) = text.split_once("After: ").expect("two tables");
    let row = |table: &str, words: &[&str]| {
        let fits = |line: &str| line.split_whitespace().collect::<Vec<_>>().starts_with(words);
        table.lines().any(fits)
    };
    for (words, first, then) in [
        (["v1", "validator", "v2", "validator"], true, true),
        (["v1", "validator", "v4", "validator"], true, false),
        (["v1", "validator", "v5", "validator"], false, true),
        (["f2", "vfn", "v4", "upstream"], true, false),
        (["f2", "vfn", "v5", "upstream"], false, true),
        (["f1", "public", "client", "unknown"], true, true),
    ] {
        assert_eq!((row(before, &words), row(after, &words)), (first, then), "{words:?} in {text}");
    }
    assert!(
        after.contains("must-have, dialed by us") && after.contains("anybody may dial, it has dialed us"),
        "{text}"
    );
    let figures = text.lines().last().expect("a line of figures");
    let sent: u64 = figures.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    assert!(sent > 0 && figures.contains(" 0 lost, 0 doubled; v4 gone after "), "{figures}");
}
