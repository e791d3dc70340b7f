//! What lies where, and how large it is.

use std::{fs, path::Path};

use stackwire_architecture::{PLUGIN_FOLDERS, entries, members, root};

/// A file past this is two things.
const MAX_LINES: usize = 600;

#[test]
fn no_folder_is_a_drawer() {
    for path in entries(&root()) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        assert!(
            !["util", "utils", "common", "misc", "helpers"].contains(&name.as_str()),
            "{}: name it after what it does",
            path.display()
        );
    }
}

#[test]
fn files_are_small() {
    for path in entries(&root()).iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let lines = fs::read_to_string(root().join(path)).expect("a source file is text").lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines: it is two things", path.display());
    }
}

#[test]
fn plug_ins_are_laid_out_alike() {
    let mut missing = Vec::new();
    for member in members().iter().filter(|member| PLUGIN_FOLDERS.contains(&member.area())) {
        let folder = root().join(&member.folder);
        let mut needs = vec!["src/lib.rs", "src/config.rs"];
        if member.area() == "protocols" {
            // What a protocol promises is its own; it has tests of its own making.
            if !folder.join("tests").is_dir() || entries(&folder.join("tests")).is_empty() {
                missing.push(format!("{}/tests/…", member.folder));
            }
        } else {
            needs.push("tests/conformance.rs");
        }
        missing.extend(needs.iter().filter(|f| !folder.join(f).is_file()).map(|f| format!("{}/{f}", member.folder)));
    }
    assert!(missing.is_empty(), "missing: {missing:#?}");
}

/// Time, randomness and tasks come from `Env`, so that whole networks run in simulation with a seed.
#[test]
fn plug_ins_take_nothing_from_their_surroundings() {
    const AMBIENT: [&str; 10] = [
        "tokio::spawn",
        "tokio::time",
        "task::spawn",
        "thread::spawn",
        "Instant::now",
        "SystemTime::now",
        "UNIX_EPOCH",
        "rand::rng",
        "rand::random",
        "thread_rng",
    ];
    let mut taken = Vec::new();
    for member in members().iter().filter(|member| PLUGIN_FOLDERS.contains(&member.area())) {
        let source = root().join(&member.folder).join("src");
        for path in entries(&source).iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
            let text = fs::read_to_string(source.join(path)).expect("a source file is text");
            for word in AMBIENT.iter().filter(|word| code_of(path, &text).any(|line| line.contains(*word))) {
                taken.push(format!("{}/src/{} uses {word}", member.folder, path.display()));
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

/// The lines that are neither comments nor unit tests, which stand at the end of a file or in one called `tests`.
fn code_of<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = &'a str> {
    let is_tests = path.components().any(|c| c.as_os_str().to_string_lossy().starts_with("tests"));
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(move |line| !is_tests && !line.trim_start().starts_with("//"))
}
