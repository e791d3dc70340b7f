//! No security at all: libp2p `/plaintext/2.0.0` (libp2p specs, `plaintext/README.md`). **For tests only.**
//!
//! Each side says which peer it is. Nothing is proven, nothing is hidden: whoever knows a public key can pass for its
//! owner, and everybody on the way reads and alters what is sent. It is useful to look at the traffic of the layers
//! above, and to measure them without the cost of encryption. A config must say so:
//!
//! ```
//! use stackwire_plugin::Plugin;
//! use stackwire_security_plaintext::PlaintextConfig;
//!
//! assert!(PlaintextConfig::default().build().is_err());
//! let security = PlaintextConfig { insecure: true }.build().unwrap().securities.remove(0);
//! assert_eq!(security.id().as_str(), "/plaintext/2.0.0");
//! ```

mod config;
mod plaintext;
mod wire;

pub use config::PlaintextConfig;
pub use plaintext::Plaintext;

stackwire_plugin::register!(PlaintextConfig);
