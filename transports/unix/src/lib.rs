//! Programs of one machine: `/unix/<path>`, a unix-domain socket; on Windows, the named pipe of that name.
//!
//! The rest of the address is the path, from the root: `/unix/run/stackwire/node.sock` is the socket
//! `/run/stackwire/node.sock`. A listener on a path that is a folder makes a socket of a free name in it, as port 0
//! does for TCP. Who may connect is who may write to the socket's file: its owner alone, unless `mode` says more.
//!
//! * A socket's file that nobody listens at, left by a program that was killed, is replaced. One that somebody listens
//!   at is an address in use; any other kind of file is never touched.
//! * A listener removes its file when it is dropped, if it is still the one it made.
//! * A socket is made in a private folder beside its name and linked there once it has its rights and listens. A folder
//!   that everybody may write to, and that is not sticky, is refused: others could put their socket in the place of ours.
//! * Connections have no address of their own: both ends are known by the listener's.
//!
//! Like TCP it gives bytes of an unknown peer, and the layers above are the same. There is no network to listen in, so
//! `plaintext` is less of a risk here than elsewhere.
//!
//! ```
//! # #[cfg(unix)] {
//! use stackwire_core::{Dial, Keypair, Listen, Stage, Transport};
//! use stackwire_transport_unix::Unix;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().display();
//! let unix = Unix::default();
//! let address = format!("/unix{path}/node.sock").parse()?;
//! let mut listener = unix.listen(Listen::new(&address, &identity, &env)).await?;
//!
//! let dialed = unix.dial(Dial::new(&address, &identity, &env)).await?;
//! let accepted = listener.accept().await?.open.await?;
//!
//! let (Stage::Raw(mut a), Stage::Raw(mut b)) = (dialed.stage, accepted.stage) else { unreachable!() };
//! a.write_all(b"hello").await?;
//! a.shutdown().await?;
//! let mut text = String::new();
//! b.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

mod config;
mod listener;
mod path;
mod pipe;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;
mod transport;

pub use config::UnixConfig;
pub use transport::Unix;

/// The name that configs use.
pub(crate) const NAME: &str = "unix";

stackwire_plugin::register!(UnixConfig);
