//! The protector: finds the key and puts pipes under it.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Error, Kind, Layer, ProtectContext, Protector, Result};
use stackwire_files::read_secret;

use crate::{PreSharedKey, pipe::PnetPipe};

pub(crate) const NAME: &str = "pnet";
/// Far above any key file.
const MAX_FILE: u64 = 4096;

/// A private network.
pub struct Pnet {
    file: Option<PathBuf>,
    /// The key, once it is known.
    key: Mutex<Option<PreSharedKey>>,
}

impl Pnet {
    /// The network of `key`.
    pub fn new(key: PreSharedKey) -> Self {
        Self { file: None, key: Mutex::new(Some(key)) }
    }

    /// The network of the key in `file`, which is read when the first pipe is protected. Others than its owner must not be
    /// able to read or write it.
    pub fn from_file(file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), key: Mutex::new(None) }
    }

    /// Tells networks apart without telling their keys: members compare it. Fails as [`Protector::protect`] does where
    /// the key is in a file.
    pub fn fingerprint(&self) -> Result<crate::Fingerprint> {
        Ok(self.key()?.fingerprint())
    }

    /// The key; a file is read until it was once good, so that a repaired one needs no restart.
    fn key(&self) -> Result<PreSharedKey> {
        let mut known = self.key.lock();
        if let Some(key) = &*known {
            return Ok(key.clone());
        }
        let Some(file) = &self.file else {
            return Err(Error::new(Kind::Internal, "a private network without a key").at(Layer::Protector, NAME));
        };
        let key = read(file)?;
        *known = Some(key.clone());
        Ok(key)
    }
}

/// Reads the key of a file; see [`Pnet::from_file`].
pub(crate) fn read(path: &Path) -> Result<PreSharedKey> {
    let unusable = |why: &str| {
        let what = format!("`key_file`: {} {why}", path.display());
        Error::new(Kind::ConfigInvalid, what).at(Layer::Protector, NAME)
    };
    let bytes = read_secret(path, MAX_FILE).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => unusable("does not exist: copy it from a member of the network").caused_by(e),
        _ => unusable("can't be used").caused_by(e),
    })?;
    PreSharedKey::from_swarm_key(&bytes).map_err(|why| {
        unusable(&format!("is no key of a private network, {why}: copy the file from a member of the network"))
    })
}

#[async_trait]
impl Protector for Pnet {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Never waits for the peer: the nonces travel with the first bytes each way. Fails with `ConfigInvalid` where the
    /// key file is of no use; a file is read in place, once, and is a few bytes.
    async fn protect(&self, pipe: BoxPipe, context: ProtectContext<'_>) -> Result<BoxPipe> {
        Ok(Box::new(PnetPipe::new(pipe, self.key()?, context.env.random())))
    }
}
