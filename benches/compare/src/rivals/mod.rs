//! The programs of other stacks. They are a workspace of their own, so that their features are not mixed with ours, and
//! are built when they are first needed.

mod make;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use stackwire_contest::{Result, Stack};

pub use self::make::target_dir;
use crate::{program, run::Child};

/// A program of another stack.
#[derive(Debug)]
pub struct Rival {
    /// What it is called; its package and program in `benches/rivals` are `rival-<name>`.
    pub name: &'static str,
    /// Its stacks.
    pub stacks: &'static [&'static str],
    /// Whether it is left out unless it is asked for, because it takes long to build.
    pub heavy: bool,
    /// What else its build needs on the machine: a program, and what to do where it is missing.
    needs: Option<(&'static str, &'static str)>,
}

impl Rival {
    /// All of them.
    pub const ALL: &[Rival] = &[
        Rival { name: "libp2p", stacks: &["libp2p-noise", "libp2p-tls", "libp2p-quic"], heavy: false, needs: None },
        Rival {
            name: "litep2p",
            stacks: &["litep2p-noise"],
            heavy: false,
            needs: Some(("protoc", "install protobuf-compiler")),
        },
        Rival { name: "quinn", stacks: &["quinn"], heavy: false, needs: None },
        Rival { name: "iroh", stacks: &["iroh"], heavy: true, needs: None },
    ];

    /// Whose stack that is.
    pub fn of(stack: &str) -> Option<&'static Rival> {
        Self::ALL.iter().find(|rival| rival.stacks.contains(&stack))
    }
}

/// Which rivals take part.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// None of them.
    pub none: bool,
    /// Heavy ones that were asked for.
    pub with: Vec<String>,
    /// Nothing is built: what was built before is used.
    pub no_build: bool,
}

/// The program of every stack that is to be measured, or why there is none.
pub struct Programs {
    own: PathBuf,
    rivals: BTreeMap<&'static str, Result<PathBuf, String>>,
    /// What each stack is.
    pub versions: BTreeMap<String, String>,
}

impl Programs {
    /// Finds or builds what these stacks need.
    pub async fn of(stacks: &BTreeSet<&'static str>, choice: &Choice) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut all = Self { own: own.clone(), rivals: BTreeMap::new(), versions: BTreeMap::new() };
        for rival in Rival::ALL.iter().filter(|rival| rival.stacks.iter().any(|stack| stacks.contains(stack))) {
            all.rivals.insert(rival.name, rival.program(choice).await);
        }
        for program in std::iter::once(own).chain(all.rivals.values().flatten().cloned()) {
            for Stack { name, version } in ask(&program).await? {
                if stacks.contains(name.as_str()) {
                    all.versions.insert(name, version);
                }
            }
        }
        Ok(all)
    }

    /// Ours, which is that of the limits and of links too.
    pub fn own(&self) -> PathBuf {
        self.own.clone()
    }

    /// The program of `stack`, or why it can't be measured.
    pub fn program(&self, stack: &str) -> Result<PathBuf, String> {
        if program::stacks().any(|name| name == stack) {
            return Ok(self.own());
        }
        let rival = Rival::of(stack).and_then(|rival| self.rivals.get(rival.name));
        match rival {
            Some(Ok(_)) if !self.versions.contains_key(stack) => Err(format!("its program does not know `{stack}`")),
            Some(program) => program.clone(),
            None => Err(format!("nobody knows `{stack}`")),
        }
    }
}

impl Rival {
    async fn program(&self, choice: &Choice) -> Result<PathBuf, String> {
        if choice.none {
            return Err("left out by --no-rivals".to_string());
        }
        if self.heavy && !choice.with.iter().any(|name| name == self.name) {
            return Err(format!("left out unless `--with {}` is given", self.name));
        }
        let package = format!("rival-{}", self.name);
        let path = target_dir().join("release").join(&package).with_extension(std::env::consts::EXE_EXTENSION);
        if choice.no_build {
            return match path.is_file() {
                true => Ok(path),
                false => Err(format!("not built at {}; run it without --no-build", path.display())),
            };
        }
        make::build(&package).await.map_err(|error| match self.needs {
            Some((program, remedy)) if !on_path(program) => {
                format!("its build needs `{program}`, which is not on PATH: {remedy}, and run it again")
            }
            _ => error.to_string(),
        })?;
        Ok(path)
    }
}

fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// What a program says its stacks are.
async fn ask(program: &std::path::Path) -> Result<Vec<Stack>> {
    let mut child = Child::start(program, &["stacks"])?;
    let line = child.hear().await?;
    let status = child.end().await?;
    match line {
        Some(line) if status.success() => Ok(serde_json::from_str(&line)?),
        _ => Err(format!("{} does not say what its stacks are: {}", program.display(), child.complaints()).into()),
    }
}
