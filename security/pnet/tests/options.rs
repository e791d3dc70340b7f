//! What may be configured, and how a mistake is told.

use std::fs;

use stackwire_conformance::{env, pipes};
use stackwire_core::{Error, Kind, Layer, ProtectContext, Protector, Role};
use stackwire_plugin::{Descriptor, Plugin};
use stackwire_security_pnet::{Pnet, PnetConfig, PreSharedKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KEY: &str = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";

fn refused(options: &str) -> String {
    let descriptor = Descriptor::of::<PnetConfig>("stackwire-security-pnet");
    let problem = descriptor.build_from(options).map(drop).expect_err(options).to_string();
    assert!(!problem.contains(&KEY[..8]), "a key is a secret: {problem}");
    problem
}

#[test]
fn exactly_one_key_is_named() {
    assert!(refused("").contains("`key_file"), "{}", refused(""));
    let both = format!("key = \"{KEY}\"\nkey_file = \"swarm.key\"");
    assert!(refused(&both).contains("keep one"), "{}", refused(&both));
    for key in ["", &KEY[1..], &KEY.replace('6', "g"), &format!("{KEY}00")] {
        let problem = refused(&format!("key = \"{key}\""));
        assert!(problem.contains("64 hex digits"), "{problem}");
    }
    assert!(refused(&format!("keys = \"{KEY}\"")).contains("key_file"));
    for config in [
        PnetConfig { key: Some(KEY.to_uppercase()), key_file: None },
        // It is not there, and building does not look.
        PnetConfig { key: None, key_file: Some("/no/such/file".into()) },
    ] {
        assert_eq!(config.build().expect("it builds").protectors.len(), 1);
    }
}

#[test]
fn the_example_builds() {
    let descriptor = Descriptor::of::<PnetConfig>("stackwire-security-pnet");
    assert_eq!(descriptor.build_from(descriptor.summary.example).expect("it builds").protectors.len(), 1);
}

#[test]
fn a_key_is_never_shown() {
    let config = PnetConfig { key: Some(KEY.to_string()), key_file: None };
    let key = PreSharedKey::from_hex(KEY).unwrap();
    for shown in [format!("{config:?}"), format!("{key:?}")] {
        assert!(!shown.contains(&KEY[..8]) && !shown.contains("97, 137"), "{shown}");
    }
    assert_eq!(format!("{key:?}"), "PreSharedKey(45fc986bbc9388a11d939df26f730f0c)");
}

async fn protect(pnet: &Pnet) -> Result<(), Error> {
    let (a, _b) = pipes::pair();
    pnet.protect(a, ProtectContext::new(Role::Dialer, &env())).await.map(|_| ())
}

#[tokio::test]
async fn a_file_is_read_when_it_is_needed_and_read_again_once_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swarm.key");
    let pnet = Pnet::from_file(&path);
    let told = async |fix: &str| {
        let error = protect(&pnet).await.expect_err(fix);
        assert_eq!((error.kind(), error.layer()), (&Kind::ConfigInvalid, Some(Layer::Protector)));
        let text = error.to_string();
        assert!(text.contains("swarm.key") && text.contains(fix), "{text}");
        assert_eq!(pnet.fingerprint().unwrap_err().to_string(), text);
    };
    told("does not exist: copy it from a member").await;
    let write = |bytes: &[u8]| {
        let _ = fs::remove_file(&path);
        stackwire_files::create_secret(&path, bytes, &env()).unwrap();
    };
    write(KEY.as_bytes());
    told("its first line is not `/key/swarm/psk/1.0.0/`").await;
    write(b"/key/swarm/psk/1.0.0/\n/base16/\nabcd");
    told("not 64 hex digits").await;
    write(&[b' '; 4096]);
    told("its first line").await;
    write(&vec![b' '; 1 << 20]);
    told("more than 4096 bytes").await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        write(PreSharedKey::from_hex(KEY).unwrap().to_swarm_key().as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        told("chmod 600 ").await;
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    told("a folder").await;
    fs::remove_dir(&path).unwrap();

    write(PreSharedKey::from_hex(KEY).unwrap().to_swarm_key().as_bytes());
    protect(&pnet).await.unwrap();
    assert_eq!(pnet.fingerprint().unwrap().to_string(), "45fc986bbc9388a11d939df26f730f0c");
    // It was read: what becomes of the file is of no consequence any more.
    fs::remove_file(&path).unwrap();
    protect(&pnet).await.unwrap();
}

#[tokio::test]
async fn a_key_and_its_file_are_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swarm.key");
    let key = PreSharedKey::from_hex(KEY).unwrap();
    stackwire_files::create_secret(&path, key.to_swarm_key().as_bytes(), &env()).unwrap();
    let (a, b) = pipes::pair();
    let mut a = Pnet::new(key).protect(a, ProtectContext::new(Role::Dialer, &env())).await.unwrap();
    let mut b = Pnet::from_file(path).protect(b, ProtectContext::new(Role::Listener, &env())).await.unwrap();
    a.write_all(b"hello").await.unwrap();
    a.shutdown().await.unwrap();
    let mut text = String::new();
    b.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}
