//! Files that options name.

use std::path::PathBuf;

/// A file that an option names, in the config that names it.
pub struct FileOption<'a> {
    /// The option, as configs spell it, such as `tls.certificate`.
    pub option: &'static str,
    /// Where the file is.
    pub path: &'a mut PathBuf,
    /// Whether the plug-in itself notices when the file changes.
    pub watched: bool,
}

impl<'a> FileOption<'a> {
    /// The file of an option that may name none; the plug-in reads it when it needs it.
    pub fn of(option: &'static str, path: &'a mut Option<PathBuf>) -> Option<Self> {
        path.as_mut().map(|path| Self { option, path, watched: false })
    }

    /// The same for a file that the plug-in watches.
    pub fn watched(option: &'static str, path: &'a mut Option<PathBuf>) -> Option<Self> {
        path.as_mut().map(|path| Self { option, path, watched: true })
    }
}

/// A file that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The option, as configs spell it.
    pub option: &'static str,
    /// Where the file is; a relative path is one of the working folder.
    pub path: PathBuf,
    /// Whether the plug-in itself notices when it changes.
    pub watched: bool,
}

/// What an inspection of files found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The option it is about.
    pub option: &'static str,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// Whether the plug-in can't work like this; else it works without what is wrong.
    pub fatal: bool,
}

impl Finding {
    /// What keeps the plug-in from working.
    pub fn error(option: &'static str, message: impl ToString) -> Self {
        Self { option, message: message.to_string(), fatal: true }
    }

    /// What is left out.
    pub fn warning(option: &'static str, message: impl ToString) -> Self {
        Self { option, message: message.to_string(), fatal: false }
    }
}
