//! The peers that an operator trusts: how a config writes one ([`TrustedConfig`]), lists of them ([`read_list`]), and a file
//! that is read again when it changes ([`TrustedFile`]). What is trusted of all this is a matter of
//! [`Trust`](stackwire_core::Trust).

mod entry;
mod file;
mod key_text;
mod list;

pub use entry::{KnownBy, TrustedConfig, account};
pub use file::TrustedFile;
pub use key_text::parse_key;
pub use list::{Form, read_list};
