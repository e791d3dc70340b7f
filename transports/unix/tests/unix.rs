//! What is particular to sockets that are files.

#![cfg(unix)]

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::join;
use stackwire_conformance::{in_time, transport::Subject};
use stackwire_core::{BoxPipe, Error, Kind, Listener, Multiaddr, Stage};
use stackwire_plugin::{Catalogue, Plugin};
use stackwire_transport_unix::{Unix, UnixConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A transport, and a path in a fresh folder.
fn subject(config: UnixConfig) -> (Subject, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    let transport = Unix::new(config).expect("the options are in range");
    (Subject::new(Arc::new(transport), address_of(&path)), path, folder)
}

fn address_of(path: &Path) -> Multiaddr {
    format!("/unix{}", path.display()).parse().unwrap()
}

async fn refusal(subject: &Subject) -> Error {
    subject.listen_on(&subject.listen).await.err().expect("listening must fail")
}

async fn connect(subject: &Subject, listener: &mut Box<dyn Listener>) -> (BoxPipe, BoxPipe) {
    let (dialed, incoming) = in_time("a connection", join(subject.dial(&subject.listen), listener.accept())).await;
    let incoming = incoming.unwrap();
    assert_eq!((&incoming.local, &incoming.remote), (&subject.listen, &subject.listen));
    match (dialed.unwrap().stage, incoming.open.await.unwrap().stage) {
        (Stage::Raw(a), Stage::Raw(b)) => (a, b),
        _ => panic!("sockets give bytes"),
    }
}

#[test]
fn it_is_registered_with_an_example_that_means_the_defaults() {
    let catalogue = Catalogue::linked().unwrap();
    let descriptor = catalogue.named("unix").next().unwrap();
    descriptor.build_from(descriptor.summary.example).unwrap();
}

#[test]
fn options_out_of_range_are_refused_with_a_reason() {
    let with_mode = |mode: &str| UnixConfig { mode: mode.into(), ..UnixConfig::default() };
    for (config, option) in [
        (with_mode("rw"), "mode"),
        (with_mode("+600"), "mode"),
        (with_mode("1777"), "mode"),
        (with_mode(""), "mode"),
        (UnixConfig { backlog: 0, ..UnixConfig::default() }, "backlog"),
        (UnixConfig { read_buffer: 0, ..UnixConfig::default() }, "read_buffer"),
    ] {
        let error = config.build().err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains(option), "{error}");
    }
}

#[tokio::test]
async fn the_file_has_the_rights_of_the_config_and_goes_with_the_listener() {
    for (mode, bits) in [("0600", 0o600), ("660", 0o660), ("0666", 0o666)] {
        let (subject, path, _folder) = subject(UnixConfig { mode: mode.into(), ..UnixConfig::default() });
        let listener = subject.listen_on(&subject.listen).await.unwrap();
        assert_eq!(listener.addresses(), vec![subject.listen.clone()]);
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, bits);
        drop(listener);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_replaced() {
    let (subject, path, _folder) = subject(UnixConfig::default());
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a program that is killed leaves its socket behind");
    let error = subject.dial(&subject.listen).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::Refused, "{error}");
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    connect(&subject, &mut listener).await;
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone_and_not_disturbed() {
    let (subject, path, _folder) = subject(UnixConfig::default());
    let other = UnixListener::bind(&path).unwrap();
    other.set_nonblocking(true).unwrap();
    let error = refusal(&subject).await;
    assert_eq!(error.kind(), &Kind::AddressInUse, "{error}");
    assert!(error.to_string().contains("take another path"), "{error}");
    other.accept().expect_err("asking whether it is in use is no connection");
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_touched() {
    let (subject, path, _folder) = subject(UnixConfig::default());
    fs::write(&path, "precious").unwrap();
    let error = refusal(&subject).await;
    assert_eq!(error.kind(), &Kind::AddressInUse, "{error}");
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(refusal(&subject).await.kind(), &Kind::AddressInUse);
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[tokio::test]
async fn a_listener_removes_no_file_but_its_own() {
    let (subject, path, _folder) = subject(UnixConfig::default());
    let first = subject.listen_on(&subject.listen).await.unwrap();
    fs::remove_file(&path).unwrap();
    let mut second = subject.listen_on(&subject.listen).await.unwrap();
    drop(first);
    connect(&subject, &mut second).await;
}

#[tokio::test]
async fn on_a_folder_every_listener_has_a_name_of_its_own() {
    let (subject, _, folder) = subject(UnixConfig::default());
    let any = address_of(folder.path());
    let (one, two) = (subject.listen_on(&any).await.unwrap(), subject.listen_on(&any).await.unwrap());
    assert_ne!(one.addresses(), two.addresses());
    for address in [one.addresses(), two.addresses()].concat() {
        assert!(address.to_string().starts_with(&any.to_string()), "{address}");
        subject.dial(&address).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_folder_is_named_together_with_the_fix() {
    let (subject, _, folder) = subject(UnixConfig::default());
    let error = subject.listen_on(&address_of(&folder.path().join("a/node.sock"))).await.err().unwrap();
    let fix = format!("mkdir -p {}/a", folder.path().display());
    assert!(error.to_string().contains(&fix), "{error}");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_refused_before_anything_is_tried() {
    let (subject, _, folder) = subject(UnixConfig::default());
    let address = address_of(&folder.path().join("a".repeat(120)));
    let ours = subject.transport.can_dial(&address) && subject.transport.can_listen(&address);
    assert!(ours, "nobody but this transport could say what is wrong with it");
    for error in [subject.listen_on(&address).await.err().unwrap(), subject.dial(&address).await.err().unwrap()] {
        assert_eq!(error.kind(), &Kind::AddressInvalid);
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}

#[tokio::test]
async fn a_path_without_room_for_the_private_folder_says_so() {
    let (subject, _, folder) = subject(UnixConfig::default());
    let room = 105 - folder.path().as_os_str().len();
    let deep = folder.path().join("d".repeat(room - 2));
    fs::create_dir(&deep).unwrap();
    let error = subject.listen_on(&address_of(&deep.join("s"))).await.err().unwrap();
    assert!(error.to_string().contains("private folder"), "{error}");
    assert_eq!(fs::read_dir(&deep).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn only_the_socket_is_left_in_its_folder() {
    let (subject, path, folder) = subject(UnixConfig::default());
    let listener = subject.listen_on(&subject.listen).await.unwrap();
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(names(), [path]);
    drop(listener);
    assert!(names().is_empty());
}

#[tokio::test]
async fn a_folder_that_everybody_may_write_to_is_refused_unless_it_is_sticky() {
    let (subject, _, folder) = subject(UnixConfig::default());
    for (mode, refused) in [(0o777, true), (0o1777, false), (0o775, false), (0o700, false)] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let listened = subject.listen_on(&subject.listen).await;
        assert_eq!(listened.is_err(), refused, "{mode:o}");
        if let Err(error) = listened {
            assert_eq!(error.kind(), &Kind::PermissionDenied);
            assert!(error.to_string().contains("chmod o-w"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_dial_to_a_path_without_a_socket_reaches_nobody() {
    let (subject, path, folder) = subject(UnixConfig::default());
    fs::write(&path, "no socket").unwrap();
    for (path, kind) in [
        (path.clone(), Kind::Refused),
        (path.join("below"), Kind::Unreachable),
        (folder.path().join("missing"), Kind::Unreachable),
    ] {
        let error = subject.dial(&address_of(&path)).await.err().unwrap();
        assert_eq!(error.kind(), &kind, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_dial_waits_while_the_listener_has_too_many_to_accept() {
    let (subject, _, _folder) = subject(UnixConfig { backlog: 1, ..UnixConfig::default() });
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    let dials = futures::future::join_all((0..8).map(|_| subject.dial(&subject.listen)));
    let accepts = async {
        for _ in 0..8 {
            listener.accept().await.unwrap();
        }
    };
    let (dialed, ()) = in_time("eight connections", join(dials, accepts)).await;
    assert!(dialed.iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_was_written_before_a_drop_arrives() {
    let (subject, _, _folder) = subject(UnixConfig::default());
    let mut listener = subject.listen_on(&subject.listen).await.unwrap();
    let (mut a, mut b) = connect(&subject, &mut listener).await;
    a.write_all(b"bye").await.unwrap();
    drop(a);
    let mut text = String::new();
    b.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bye");
}
