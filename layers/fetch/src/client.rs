//! The client.

use std::{net::IpAddr, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use stackwire_core::{Env, Error, Kind, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// Bytes of an answer's head.
const MAX_HEAD: usize = 64 << 10;
/// Addresses of a name that are tried, one after the other.
const MAX_TRIED: usize = 4;
/// How much of a server's word is shown in an error.
const SHOWN: usize = 200;

/// Fetches documents, each over a connection of its own.
#[derive(Clone)]
pub struct Client {
    env: Env,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// A client that trusts the web's authorities.
    pub fn new(env: &Env) -> Result<Self> {
        Self::trusting(env, [])
    }

    /// A client that trusts these authorities, too. Fails with `ConfigInvalid` where one is none.
    pub fn trusting(env: &Env, authorities: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self> {
        Ok(Self { env: env.clone(), tls: tls::settings(env, authorities)? })
    }

    /// The document at `url`, of at most `max` bytes. Dropping the future closes the connection; time limits are the caller's.
    ///
    /// Fails with `ConfigInvalid` for a url that is none, `Unreachable` where nobody answers, `AuthenticationFailed` where the
    /// server can't prove its name, `LimitExceeded` where there is more, and `Unsupported` for any answer but 200.
    pub async fn get(&self, url: &str, max: usize) -> Result<Vec<u8>> {
        let place = Place::of(url)?;
        let stream = self.connect(&place).await?;
        let asked = match place.tls {
            false => exchange(stream, &place, max).await,
            true => {
                let name = ServerName::try_from(place.host.clone());
                let name = name.map_err(|_| invalid(url, "its host is no name that a certificate could have"))?;
                let secure = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
                let secure = secure.map_err(|e| {
                    let why = format!("{} does not prove who it is", place.host);
                    Error::new(Kind::AuthenticationFailed, why).caused_by(e)
                })?;
                exchange(secure, &place, max).await
            }
        };
        asked.map_err(|error| error.with("url", url))
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream> {
        let literal = place.host.parse::<IpAddr>();
        let addresses = match literal {
            Ok(ip) => vec![ip],
            Err(_) => self.env.lookup().ips(&place.host).await?,
        };
        let mut failure = None;
        for ip in addresses.into_iter().take(MAX_TRIED) {
            match TcpStream::connect((ip, place.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        let error = Error::new(Kind::Unreachable, format!("nobody answers at {} port {}", place.host, place.port));
        Err(match failure {
            Some(cause) => error.caused_by(cause),
            None => error.caused_by("its name leads to no address"),
        })
    }
}

/// Where a document is.
struct Place {
    tls: bool,
    /// A name, or an IP address without brackets.
    host: String,
    port: u16,
    /// As the head of a request has it.
    authority: String,
    path: String,
}

impl Place {
    fn of(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().map_err(|e| invalid(url, "it can't be read").caused_by(e))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid(url, "it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid(url, "it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid(url, "it names a user, which is not supported"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_string();
        if host.is_empty() {
            return Err(invalid(url, "it names no host"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_string();
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }
}

fn invalid(url: &str, why: &str) -> Error {
    let shown = &url[..url.floor_char_boundary(SHOWN)];
    Error::new(Kind::ConfigInvalid, format!("“{shown}” is no address of a document: {why}"))
}

async fn exchange<S>(stream: S, place: &Place, max: usize) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |e: hyper::Error| {
        Error::new(Kind::Closed, format!("{} does not answer as HTTP has it", place.host)).caused_by(e)
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(&place.path)
        .header(HOST, &place.authority)
        .header(USER_AGENT, concat!("stackwire/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/toml, application/json, text/plain, */*;q=0.1")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| Error::new(Kind::Internal, "making a request").caused_by(e))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        check(&response, place)?;
        let body = Limited::new(response.into_body(), max).collect().await;
        match body {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => {
                let kind = Kind::LimitExceeded { limit: "bytes of a document", max: max as u64 };
                Err(Error::new(kind, format!("what {} sends", place.host)))
            }
            Err(error) => Err(Error::new(Kind::Closed, format!("{} ends in the middle", place.host)).caused_by(error)),
        }
    };
    // The connection runs as long as the answer is waited for; what it has brought by then is there.
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

fn check(response: &Response<Incoming>, place: &Place) -> Result<()> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).filter(|_| status.is_redirection());
    let why = match to {
        Some(to) => {
            let to: String = to.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            format!("{} answers {status}: it is at {to} now, name that", place.host)
        }
        None => format!("{} answers {status}", place.host),
    };
    Err(Error::new(Kind::Unsupported, why))
}
