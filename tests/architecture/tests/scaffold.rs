//! One new folder and one new line add a plug-in to the programs, and removing the line takes it out again.
//!
//! The test does what a newcomer would, in a copy of the workspace, and asks the program that is built from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use stackwire_architecture::{entries, root};

/// The whole act of adding a plug-in.
const LINE: &str = "stackwire-transport-loop = { path = \"../../transports/loop\" }\n";

const MANIFEST: &str = r#"[package]
name = "stackwire-transport-loop"
version.workspace = true
edition.workspace = true
publish.workspace = true

[dependencies]
async-trait.workspace = true
stackwire-core.workspace = true
stackwire-plugin.workspace = true
tokio = { workspace = true, features = ["io-util", "sync"] }
"#;

const CONFIG: &str = r#"
[node]
listen = ["/sctp/7"]
[[transport]]
use = "loop"
[[security]]
use = "noise"
[[muxer]]
use = "yamux"
"#;

struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// A copy of the sources of this one.
    fn copy() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        for path in entries(&root()) {
            let (from, to) = (root().join(&path), folder.path().join(&path));
            if from.is_dir() {
                fs::create_dir_all(to).expect("a folder can be made");
            } else {
                copy_file(&from, &to).expect("a file can be copied");
            }
        }
        let workspace = Self { folder };
        // Both workspaces build into one folder, so that what they download is compiled once. Another version keeps
        // the crates of the copy apart from ours there, and another name its program.
        workspace.edit("Cargo.toml", |text| {
            let marked = |line: &str| match line.strip_prefix("version = \"").and_then(|rest| rest.strip_suffix('"')) {
                Some(version) => format!("version = \"{version}-scaffold\"\n"),
                None => format!("{line}\n"),
            };
            text.lines().map(marked).collect()
        });
        workspace.edit("apps/cli/Cargo.toml", |text| text.replace("name = \"stackwire\"", "name = \"stackwire-loop\""));
        workspace
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn edit(&self, path: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path(path);
        let before = fs::read_to_string(&path).expect("a file of the copy can be read");
        let after = change(&before);
        assert_ne!(before, after, "{} was not changed", path.display());
        fs::write(path, after).expect("a file of the copy can be written");
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap_or(&path)).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// Builds the program.
    fn build(&self) -> Program {
        // `CARGO_TARGET_TMPDIR` lies in the folder that this workspace builds into.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").to_path_buf();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--offline", "-p", "stackwire-cli"])
            .current_dir(self.folder.path())
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "the copy does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        Program(target.join("debug").join(format!("stackwire-loop{}", std::env::consts::EXE_SUFFIX)))
    }
}

/// Copies a file with the time of its last change, so that cargo need not build again what an earlier run built.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    fs::File::options().write(true).open(to)?.set_modified(fs::metadata(from)?.modified()?)
}

struct Program(PathBuf);

impl Program {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.0).args(arguments).output().expect("the program runs")
    }

    /// Runs it; it must succeed and say JSON.
    fn json(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{failed}");
        let values: Result<Vec<serde_json::Value>, _> = serde_json::Deserializer::from_str(&said).into_iter().collect();
        assert!(values.is_ok_and(|values| !values.is_empty()), "{arguments:?} did not say JSON: {said}");
        said
    }
}

#[test]
fn one_folder_and_one_line_add_a_plug_in() {
    let workspace = Workspace::copy();
    workspace.write("transports/loop/Cargo.toml", MANIFEST);
    workspace.write("transports/loop/src/lib.rs", include_str!("scaffold/loopback.rs"));
    workspace.edit("registry/bundle/Cargo.toml", |text| {
        text.replace("[dependencies]\n", &format!("[dependencies]\n{LINE}"))
    });
    workspace.write("loop.toml", CONFIG);
    let config = workspace.path("loop.toml").to_string_lossy().into_owned();

    let program = workspace.build();
    assert!(program.json(&["plugins", "--json"]).contains("\"loop\""), "the program does not know the new transport");
    assert!(program.json(&["check", &config, "--json"]).contains("\"loop\""), "the stack does not have it");
    let matrix = program.json(&["matrix", "--transport", "loop", "--bytes", "4096", "--json"]);
    assert!(matrix.contains("\"loop\"") && matrix.contains("\"yamux\""), "no bytes went over it: {matrix}");

    workspace.edit("registry/bundle/Cargo.toml", |text| text.replace(LINE, ""));
    let program = workspace.build();
    assert!(!program.json(&["plugins", "--json"]).contains("\"loop\""), "the transport is still there");
    let refused = program.run(&["check", &config]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && words.contains("transport `loop` is not linked"), "{words}");
}
