//! The shape of the repository, as tests: which crate may depend on which, what lies where, and that one new folder
//! and one line of a `Cargo.toml` add a plug-in. This library reads the repository; the laws are in `tests/`.

mod modules;

pub use modules::cycles;

use std::{
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The folders that hold plug-ins, one crate in each of their folders.
pub const PLUGIN_FOLDERS: [&str; 8] =
    ["transports", "negotiators", "security", "muxers", "routing", "discovery", "nat", "protocols"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies in tests/architecture").to_path_buf()
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Member {
    /// Where it lies, from the root, such as `transports/tcp`.
    pub folder: String,
    /// The crates of the workspace that it depends on, by folder; those that only its tests need are not in it.
    pub needs: Vec<String>,
    /// The crates of the workspace that only its tests need.
    pub tests_need: Vec<String>,
}

impl Member {
    /// The folder of the root it lies in.
    pub fn area(&self) -> &str {
        area(&self.folder)
    }
}

/// The folder of the root that `folder` lies in.
pub fn area(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

/// The crates of the workspace.
pub fn members() -> Vec<Member> {
    let root = root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_string()])
        .exec()
        .expect("cargo describes the workspace");
    let folder = |path: &Path| {
        let relative = path.strip_prefix(&root).expect("a crate of the workspace lies under its root");
        relative.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    let member = |package: &cargo_metadata::Package| {
        let manifest = package.manifest_path.as_std_path();
        let (tests_need, needs): (Vec<_>, Vec<_>) = package
            .dependencies
            .iter()
            .filter_map(|dependency| Some((dependency.kind, folder(dependency.path.as_ref()?.as_std_path()))))
            .partition(|(kind, _)| *kind == DependencyKind::Development);
        let folders = |found: Vec<(_, String)>| found.into_iter().map(|(_, folder)| folder).collect();
        Member {
            folder: folder(manifest.parent().unwrap_or(manifest)),
            needs: folders(needs),
            tests_need: folders(tests_need),
        }
    };
    metadata.packages.iter().map(member).collect()
}

/// Everything below `folder` that belongs to the repository, as paths from it: folders and files, sorted.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, Path::new(""), &mut found);
    found.sort();
    found
}

fn walk(top: &Path, at: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(top.join(at)).expect("a folder of the repository can be read") {
        let entry = entry.expect("an entry of a folder can be read");
        let name = entry.file_name();
        // Build products and what tools keep for themselves.
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let path = at.join(&name);
        found.push(path.clone());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(top, &path, found);
        }
    }
}
