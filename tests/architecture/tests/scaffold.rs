//! One new folder and one new line add a plug-in to the programs, and removing the line takes it out again.
//!
//! The tests do what newcomers would, in a copy of the workspace, and ask the programs that are built from it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use stackwire_architecture::{entries, root};

/// A plug-in that somebody adds, as CONTRIBUTING.md says.
struct Newcomer {
    /// As configs call its layer.
    layer: &'static str,
    /// The folder of the layer's plug-ins.
    area: &'static str,
    /// What its package is called behind `stackwire-`, as its neighbours are.
    family: &'static str,
    name: &'static str,
    source: &'static str,
    /// Its options, and whatever else its config needs.
    config: &'static str,
}

const LOOP: Newcomer = Newcomer {
    layer: "transport",
    area: "transports",
    family: "transport",
    name: "loop",
    source: include_str!("scaffold/loopback.rs"),
    config: "",
};

const GUIDE: Newcomer = Newcomer {
    layer: "routing",
    area: "routing",
    family: "routing",
    name: "guide",
    source: include_str!("scaffold/guide.rs"),
    config: "everybody = \"/ip4/192.0.2.1/tcp/4001\"\n",
};

const HERALD: Newcomer = Newcomer {
    layer: "discovery",
    area: "discovery",
    family: "discovery",
    name: "herald",
    source: include_str!("scaffold/herald.rs"),
    config: "addresses = [\"/ip4/192.0.2.1/tcp/4001\"]\n",
};

const GATE: Newcomer = Newcomer {
    layer: "nat",
    area: "nat",
    family: "nat",
    name: "gate",
    source: include_str!("scaffold/gate.rs"),
    config: "outside = \"/ip4/192.0.2.1/tcp/4001\"\n",
};

const TALLY: Newcomer = Newcomer {
    layer: "protocol",
    area: "protocols",
    family: "protocol",
    name: "tally",
    source: include_str!("scaffold/tally.rs"),
    config: "",
};

/// They come and go together, so that the program is built twice and not ten times.
const NEWCOMERS: [&Newcomer; 5] = [&LOOP, &GUIDE, &HERALD, &GATE, &TALLY];

impl Newcomer {
    fn folder(&self) -> String {
        format!("{}/{}", self.area, self.name)
    }

    fn package(&self) -> String {
        format!("stackwire-{}-{}", self.family, self.name)
    }

    /// The whole act of adding a plug-in.
    fn line(&self) -> String {
        format!("{} = {{ path = \"../../{}\" }}\n", self.package(), self.folder())
    }

    fn manifest(&self) -> String {
        let package = self.package();
        format!(
            r#"[package]
name = "{package}"
version.workspace = true
edition.workspace = true
publish.workspace = true

[dependencies]
async-trait.workspace = true
futures.workspace = true
stackwire-core.workspace = true
stackwire-plugin.workspace = true
tokio = {{ workspace = true, features = ["io-util", "sync"] }}
"#
        )
    }

    /// A config of a stack that has it.
    fn config(&self) -> String {
        let Self { layer, name, config, .. } = self;
        let (listen, transport) = match *layer {
            "transport" => ("/sctp/7", ""),
            _ => ("/ip4/127.0.0.1/tcp/0", "[[transport]]\nuse = \"tcp\"\n"),
        };
        format!(
            "[node]\nlisten = [\"{listen}\"]\n{transport}[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n\
             [[{layer}]]\nuse = \"{name}\"\n{config}"
        )
    }
}

struct Workspace {
    folder: PathBuf,
}

impl Workspace {
    /// A copy of the sources of this one.
    fn copy() -> Self {
        // The same one in every run: cargo builds again only what has changed, and nothing piles up.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
            _ => fs::create_dir_all(&folder).expect("a scratch folder can be made"),
        }
        for path in entries(&root()) {
            let (from, to) = (root().join(&path), folder.join(&path));
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
        workspace
            .edit("apps/cli/Cargo.toml", |text| text.replace("name = \"stackwire\"", "name = \"stackwire-scaffold\""));
        workspace
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
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

    /// Builds the program, and keeps it as `name`, whatever is built later.
    fn build(&self, name: &str) -> Program {
        // `CARGO_TARGET_TMPDIR` lies in the folder that this workspace builds into.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").to_path_buf();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--offline", "-p", "stackwire-cli"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "the copy does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        let built = target.join("debug").join(format!("stackwire-scaffold{}", std::env::consts::EXE_SUFFIX));
        let kept = self.path(&format!("{name}{}", std::env::consts::EXE_SUFFIX));
        fs::copy(&built, &kept).expect("the program can be kept");
        Program(kept)
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

/// The program with all newcomers, and without any of them.
struct Built {
    workspace: Workspace,
    with: Program,
    without: Program,
}

fn built() -> &'static Built {
    static BUILT: LazyLock<Built> = LazyLock::new(|| {
        let workspace = Workspace::copy();
        let lines: String = NEWCOMERS.map(Newcomer::line).concat();
        for newcomer in NEWCOMERS {
            workspace.write(&format!("{}/Cargo.toml", newcomer.folder()), &newcomer.manifest());
            workspace.write(&format!("{}/src/lib.rs", newcomer.folder()), newcomer.source);
            workspace.write(&format!("{}.toml", newcomer.name), &newcomer.config());
        }
        workspace.edit("registry/bundle/Cargo.toml", |text| {
            text.replace("[dependencies]\n", &format!("[dependencies]\n{lines}"))
        });
        let with = workspace.build("with");
        workspace.edit("registry/bundle/Cargo.toml", |text| text.replace(&lines, ""));
        let without = workspace.build("without");
        Built { workspace, with, without }
    });
    &BUILT
}

impl Newcomer {
    /// One folder and one line: the program knows it, and stacks have it. Without the line it is gone.
    fn comes_and_goes(&self) {
        let Self { layer, name, .. } = self;
        let Built { workspace, with, without } = built();
        let config = workspace.path(&format!("{name}.toml")).to_string_lossy().into_owned();
        let quoted = format!("\"{name}\"");
        assert!(with.json(&["plugins", "--json"]).contains(&quoted), "the program does not know the new {layer}");
        assert!(with.json(&["check", &config, "--json"]).contains(&quoted), "the stack does not have it");

        assert!(!without.json(&["plugins", "--json"]).contains(&quoted), "the {layer} is still there");
        let refused = without.run(&["check", &config]);
        let words = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
        assert!(!refused.status.success() && words.contains(&format!("{layer} `{name}` is not linked")), "{words}");
    }
}

#[test]
fn one_folder_and_one_line_add_a_transport() {
    LOOP.comes_and_goes();
    let matrix = built().with.json(&["matrix", "--transport", "loop", "--bytes", "4096", "--json"]);
    assert!(matrix.contains("\"loop\"") && matrix.contains("\"yamux\""), "no bytes went over it: {matrix}");
}

#[test]
fn one_folder_and_one_line_add_a_router() {
    GUIDE.comes_and_goes();
}

#[test]
fn one_folder_and_one_line_add_a_discovery() {
    HERALD.comes_and_goes();
    // A node that runs hears of what it tells.
    let found = built().events(&HERALD, "discovered");
    assert!(found.contains("herald") && found.contains("/ip4/192.0.2.1/tcp/4001"), "{found}");
}

#[test]
fn one_folder_and_one_line_add_a_way_through_nats() {
    GATE.comes_and_goes();
}

#[test]
fn one_folder_and_one_line_add_a_service() {
    TALLY.comes_and_goes();
}

impl Built {
    /// Runs a node with the newcomer until it tells of `event`, and gives that.
    fn events(&self, newcomer: &Newcomer, event: &str) -> String {
        let config = self.workspace.path(&format!("{}.toml", newcomer.name));
        let mut node = Command::new(&self.with.0)
            .args(["run", "--json", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let lines = BufReader::new(node.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let marked = format!("\"event\":\"{event}\"");
        let found = lines.take(1000).find(|line| line.replace(' ', "").contains(&marked));
        node.kill().expect("it can be killed");
        node.wait().expect("it ends");
        found.unwrap_or_else(|| panic!("no event `{event}`"))
    }
}
