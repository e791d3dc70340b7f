//! The files that an operator names: configs, keys, certificates, lists.
//!
//! The rules are here, once, for the node and every plug-in:
//!
//! * **Only regular files are read**, through links. A folder, a pipe or a device is an error, never a wait.
//! * **Reads are bounded.** A file that is longer than it can mean anything is an error, not memory.
//! * **A secret that others can read or write is refused**, with the command that mends it. Where the system has no file
//!   modes a warning says that nobody looked.
//! * **A new secret appears whole or not at all** ([`create_secret`]): no crash, full disk or second program leaves half
//!   a key.
//!
//! An identity is such a secret ([`load_key_file`]). Errors are [`std::io::Error`]s whose text completes the sentence “the file X can't be used: …” and says what to do.
//! Calls block for as long as the file system does.

mod create;
mod key;
mod mode;
mod read;

pub use create::{create_secret, folder_of};
pub use key::{create_key_file, load_key_file, load_or_create_key_file};
pub use read::{read, read_secret, read_text};
