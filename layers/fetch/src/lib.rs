//! One document over http or https, within bounds: for lists that an operator keeps somewhere.
//!
//! HTTP/1.1 (`hyper`), TLS by the web's authorities (`rustls`, `webpki-roots`). Names are looked up by the environment. There
//! are no redirects, cookies, proxies or caches: an operator names the place itself.

mod client;
mod tls;

pub use client::Client;
