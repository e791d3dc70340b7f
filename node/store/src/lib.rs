//! What survives a restart: the peer book, bans, the records of a DHT. Keys and values behind core's
//! [`Store`](stackwire_core::Store), apart by namespace.
//!
//! [`Storage::open`] keeps them in one file of a folder, `store.redb`; [`Storage::memory`] forgets them with the process.
//! Both keep the same promises:
//!
//! * **A batch is made whole or not at all**, whenever the process or the machine stops. What was acknowledged stays.
//! * **Everything is bounded**: entries and bytes of each namespace, the number of namespaces, the queue of the writer, the
//!   cache. The file shrinks when it is opened, where most of it is empty.
//! * **Reads wait for no writer.** One thread writes; it makes all batches that have queued up durable at once.
//! * **A damaged file stops nobody.** It is set aside under another name, the caller is told ([`SetAside`]), and a new one
//!   begins. A file of a newer version is refused and left alone.
//! * **The files are the owner's**: others can't read or write them.
//!
//! A namespace counts all of its entries together. Whoever keeps what many strangers told gives each of them a share by
//! its own keys.

mod account;
mod disk;
mod file;
mod memory;
mod open;
mod storage;
mod writer;

#[cfg(test)]
mod tests_crash;

pub use open::SetAside;
pub use storage::{MAX_NAMESPACES, Storage};
