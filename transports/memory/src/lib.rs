//! Connections within one process: `/memory/<number>`.
//!
//! For tests, simulations, and programs that run several nodes. A listener takes a number, a dial to that number
//! reaches it, and the bytes pass through bounded buffers without a system call.
//!
//! **Numbers belong to the process**, as ports belong to a machine: nodes that know of each other only by their
//! configs find each other, so two transports of this kind share them. `/memory/0` asks for a number that is free;
//! they are counted up, so that a program that does the same gets the same.
//!
//! ```
//! use stackwire_core::{Dial, Keypair, Listen, Stage, Transport};
//! use stackwire_transport_memory::Memory;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
//! let memory = Memory::default();
//! let any = "/memory/0".parse()?;
//! let mut listener = memory.listen(Listen::new(&any, &identity, &env)).await?;
//!
//! let address = listener.addresses().remove(0);
//! let dialed = memory.dial(Dial::new(&address, &identity, &env)).await?;
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
//! ```

mod channel;
mod config;
mod numbers;
mod pipe;
mod transport;

pub use config::MemoryConfig;
pub use pipe::{MemoryPipe, pair};
pub use transport::Memory;

/// The name that configs use.
pub(crate) const NAME: &str = "memory";

stackwire_plugin::register!(MemoryConfig);
