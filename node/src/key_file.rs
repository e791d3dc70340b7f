//! Key files: a `PrivateKey` protobuf, readable by its owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use stackwire_core::{Env, Error, Keypair, Kind, Result, identity::KeyType};
use zeroize::Zeroizing;

/// Far above any key we can use.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Reads a key file. The errors name the file and what to do.
pub fn load_key_file(path: &Path) -> Result<Keypair> {
    let bytes = read(path).map_err(|e| unusable(path, "can't be read").caused_by(e))?;
    Keypair::decode(&bytes).map_err(|e| unusable(path, "holds no key we can use").caused_by(e))
}

/// Writes a new key to a file that must not exist yet, with rights for its owner only (0600).
pub fn create_key_file(path: &Path, key_type: KeyType, env: &Env) -> Result<Keypair> {
    let key = Keypair::generate(key_type, env)?;
    write_new(path, &key.encode()).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => unusable(path, "exists already and is not overwritten"),
        _ => unusable(path, "can't be written").caused_by(e),
    })?;
    Ok(key)
}

/// Reads the key file, or makes an Ed25519 one if there is none.
pub fn load_or_create_key_file(path: &Path, env: &Env) -> Result<Keypair> {
    match path.try_exists() {
        Ok(false) => create_key_file(path, KeyType::Ed25519, env),
        _ => load_key_file(path),
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(MAX_KEY_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(Kind::ConfigInvalid, format!("the key file {} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokioRuntime;

    #[test]
    fn a_key_file_is_made_once_and_read_back() {
        let env = Env::new(TokioRuntime);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let made = load_or_create_key_file(&path, &env).unwrap();
        assert_eq!(load_or_create_key_file(&path, &env).unwrap().peer_id(), made.peer_id());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        let error = create_key_file(&path, KeyType::Ed25519, &env).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }

    #[test]
    fn an_unreadable_key_file_is_named() {
        let env = Env::new(TokioRuntime);
        let folder = tempfile::tempdir().unwrap();
        let error = load_or_create_key_file(folder.path(), &env).unwrap_err();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        let garbage = folder.path().join("garbage.key");
        std::fs::write(&garbage, b"not a key").unwrap();
        let error = load_key_file(&garbage).unwrap_err();
        assert!(error.to_string().contains("no key we can use"), "{error}");
    }
}
