//! Documents of servers that behave, and of others.

use std::{sync::Arc, time::Duration};

use stackwire_core::{Env, Kind, Result};
use stackwire_fetch::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// Serves `answer` to whoever has sent a whole head, and gives where, with what was asked.
async fn serve(answer: impl Into<Vec<u8>>) -> (String, tokio::task::JoinHandle<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let head = head(&mut stream).await;
        // Whoever has heard enough goes.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        head
    });
    (format!("http://127.0.0.1:{port}/list?of=peers"), asked)
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head has an end"));
    }
    String::from_utf8(head).expect("a head is text")
}

fn env() -> Env {
    stackwire_conformance::env()
}

async fn get(url: &str) -> Result<Vec<u8>> {
    let client = Client::new(&env())?;
    tokio::time::timeout(Duration::from_secs(30), client.get(url, 1000)).await.expect("it ends")
}

#[tokio::test]
async fn a_document_is_fetched() {
    let (url, asked) = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(get(&url).await.unwrap(), b"hello");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /list?of=peers HTTP/1.1\r\n") && asked.contains("host: 127.0.0.1:"), "{asked}");
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello",
    ] {
        let (url, _) = serve(answer).await;
        assert_eq!(get(&url).await.unwrap(), b"hello", "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let long = "x".repeat(1001);
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for (answer, wrong) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno".to_string(), "answers 404"),
        ("HTTP/1.1 301 Moved\r\nLocation: https://example.com/\r\n\r\n".to_string(), "name that"),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{long}"), "bytes of a document"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{long}"), "bytes of a document"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello".to_string(), "ends in the middle"),
        ("SSH-2.0-x\r\n\r\n".to_string(), "does not answer as HTTP has it"),
        (head, "does not answer as HTTP has it"),
        (String::new(), "does not answer as HTTP has it"),
    ] {
        let (url, _) = serve(answer.clone()).await;
        let error = get(&url).await.unwrap_err();
        assert!(error.to_string().contains(wrong), "{}: {error}", &answer[..answer.len().min(60)]);
    }
    for url in ["", "ftp://example.com/", "https://", "http:///x", "example.com", "http://user@127.0.0.1/", "http://[/"]
    {
        assert_eq!(get(url).await.unwrap_err().kind(), &Kind::ConfigInvalid, "{url}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(get(&format!("http://{nobody}/")).await.unwrap_err().kind(), &Kind::Unreachable);
}

#[tokio::test]
async fn a_server_proves_its_name() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(server)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            let _ = stream.shutdown().await;
        }
    });
    let url = format!("https://127.0.0.1:{port}/");
    assert_eq!(get(&url).await.unwrap_err().kind(), &Kind::AuthenticationFailed, "nobody vouches for it");
    let client = Client::trusting(&env(), [certificate]).unwrap();
    assert_eq!(client.get(&url, 1000).await.unwrap(), b"hello");
}
