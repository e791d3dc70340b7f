//! Key files: a `PrivateKey` protobuf, readable by its owner only.

use std::{io, path::Path};

use stackwire_core::{Env, Error, Keypair, Kind, Result, identity::KeyType};

use crate::{create_secret, read_secret};

/// Far above any key we can use.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Reads a key file. The errors name the file and what to do. Refused where others can read or write it.
pub fn load_key_file(path: &Path) -> Result<Keypair> {
    let bytes = read_secret(path, MAX_KEY_FILE).map_err(|e| unusable(path, "can't be used").caused_by(e))?;
    if bytes.is_empty() {
        return Err(unusable(path, &format!("is empty: {}", replace(path))));
    }
    Keypair::decode(&bytes)
        .map_err(|e| unusable(path, &format!("holds no key we can use: {}", replace(path))).caused_by(e))
}

/// Writes a new key to a file that must not exist yet, with rights for its owner only (0600). The file appears whole or
/// not at all, whatever happens meanwhile.
pub fn create_key_file(path: &Path, key_type: KeyType, env: &Env) -> Result<Keypair> {
    let key = Keypair::generate(key_type, env)?;
    create_secret(path, &key.encode(), env).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => unusable(path, "exists already and is not overwritten").caused_by(e),
        _ => unusable(path, "can't be written").caused_by(e),
    })?;
    Ok(key)
}

/// Reads the key file, or makes an Ed25519 one if there is none. Of several programs that start at once with one file,
/// one makes the key, and all have it.
pub fn load_or_create_key_file(path: &Path, env: &Env) -> Result<Keypair> {
    let absent = |error: &Error| caused_by(error, io::ErrorKind::NotFound);
    match load_key_file(path) {
        Err(error) if absent(&error) => {}
        loaded => return loaded,
    }
    match create_key_file(path, KeyType::Ed25519, env) {
        Err(error) if caused_by(&error, io::ErrorKind::AlreadyExists) => {}
        created => return created,
    }
    // Somebody else made it meanwhile.
    load_key_file(path).map_err(|error| match absent(&error) {
        true => unusable(path, "is a link to a file that is not there: make that one, or remove the link"),
        false => error,
    })
}

fn caused_by(error: &Error, kind: io::ErrorKind) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == kind)
}

/// What to do about a file without a key.
fn replace(path: &Path) -> String {
    format!(
        "restore it from a backup, or have a new key, and with it another peer id, made at the next start: run `rm {}`",
        path.display()
    )
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(Kind::ConfigInvalid, format!("the key file {} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_read_back() {
        let env = stackwire_conformance::env();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let made = load_or_create_key_file(&path, &env).unwrap();
        assert_eq!(load_or_create_key_file(&path, &env).unwrap().peer_id(), made.peer_id());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        let error = create_key_file(&path, KeyType::Ed25519, &env).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }

    #[test]
    fn many_that_start_at_once_have_one_key() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let path = folder.path().join(format!("{round}.key"));
            let start = std::sync::Barrier::new(3);
            let peers: Vec<_> = std::thread::scope(|scope| {
                let load = || {
                    start.wait();
                    load_or_create_key_file(&path, &stackwire_conformance::env()).unwrap().peer_id()
                };
                let all = [(); 3].map(|()| scope.spawn(load));
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
        }
    }

    /// Whatever stands where the key should be is told with what to do, and stays as it is.
    #[test]
    fn what_is_no_key_file_says_what_to_do() {
        let env = stackwire_conformance::env();
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole.key");
        create_key_file(&whole, KeyType::Ed25519, &env).unwrap();
        let key = fs::read(&whole).unwrap();
        let told = |path: &Path, what: &str| {
            let error = load_or_create_key_file(path, &env).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), &Kind::ConfigInvalid);
            assert!(text.contains(&path.display().to_string()) && text.contains(what), "{text}");
        };
        told(folder.path(), "a folder");
        for (name, bytes, what) in [
            ("empty", &key[..0], "is empty: restore it from a backup"),
            ("torn", &key[..key.len() / 2], "run `rm "),
            ("garbage", b"not a key", "no key we can use: restore it"),
            ("long", &[0; 65537], "more than 65536 bytes"),
        ] {
            let path = folder.path().join(name);
            create_secret(&path, bytes, &env).unwrap();
            told(&path, what);
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt, symlink};
            let dangling = folder.path().join("dangling");
            symlink(folder.path().join("nowhere"), &dangling).unwrap();
            told(&dangling, "a link to a file that is not there");
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            told(&pipe, "a named pipe");
            fs::set_permissions(&whole, fs::Permissions::from_mode(0o644)).unwrap();
            told(&whole, &format!("chmod 600 {}", whole.display()));
        }
        told(&folder.path().join("no/such/folder/key"), "mkdir -p");
    }
}
