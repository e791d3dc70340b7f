//! The files of a storage, in every state that they can be found in.

use std::{fs, path::Path};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use stackwire_conformance::env;
use stackwire_core::{
    Error, Kind, Retry,
    store::{Batch, Bounds, Scan},
};
use stackwire_store::{SetAside, Storage};

const BOUNDS: Bounds = Bounds { entries: 10_000, bytes: 64 << 20 };

fn open(folder: &Path) -> (Storage, Option<SetAside>) {
    Storage::open(folder, &env()).expect("it opens")
}

fn refused(folder: &Path) -> Error {
    Storage::open(folder, &env()).err().expect("it can't be opened")
}

/// A closed store of some entries.
async fn filled(folder: &Path, entries: u32) {
    let (storage, aside) = open(folder);
    assert!(aside.is_none());
    let store = storage.namespace("files", BOUNDS).unwrap();
    let mut batch = Batch::new();
    (0..entries).for_each(|n| {
        batch.put(n.to_be_bytes().to_vec(), n.to_be_bytes().repeat(20));
    });
    store.apply(batch).await.unwrap();
    storage.close().await;
}

/// Whether all entries of [`filled`] are there, as they were; otherwise none may be.
fn has_all(storage: &Storage, entries: u32) -> bool {
    let store = storage.namespace("files", BOUNDS).unwrap();
    let page = store.scan(&Scan::all()).unwrap();
    let whole = page
        .entries
        .iter()
        .zip(0_u32..)
        .all(|((key, value), n)| key[..] == n.to_be_bytes() && value[..] == n.to_be_bytes().repeat(20));
    assert!(whole && [0, entries as usize].contains(&page.entries.len()), "{} entries", page.entries.len());
    !page.entries.is_empty()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("made/when/needed");
    filled(&inner, 100).await;
    let (storage, aside) = open(&inner);
    assert!(has_all(&storage, 100) && aside.is_none());
    assert_eq!(storage.namespaces(), ["files"]);
    assert_eq!(storage.namespace("files", BOUNDS).unwrap().usage().bytes, 100 * 84, "nobody counted");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("data");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for _ in 0..2 {
        filled(&inner, 1).await;
        assert_eq!(mode(&inner), 0o700);
        for entry in fs::read_dir(&inner).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            // Rights that somebody widened are taken back.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

#[tokio::test]
async fn one_process_at_a_time_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    let kept = storage.namespace("files", BOUNDS).unwrap();
    let error = refused(folder.path());
    assert_eq!((error.kind(), error.retry()), (&Kind::ConfigInvalid, Retry::Later));
    let text = error.to_string();
    assert!(text.contains("in use by another process") && text.contains("`data_dir` of its own"), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    storage.close().await;
    let (_again, aside) = open(folder.path());
    assert!(aside.is_none());
    assert_eq!(kept.get(b"key").unwrap_err().kind(), &Kind::Closed);
    assert_eq!(kept.put(b"key", b"").await.unwrap_err().kind(), &Kind::Closed);
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(folder.path(), 500).await;
    let good = fs::read(&path).unwrap();
    let mut broken = good.clone();
    let middle = broken.len() / 2;
    broken[4096..middle].fill(0xa5);
    let cases = [b"not a database at all".to_vec(), good[..good.len() / 2].to_vec(), vec![0; 10_000], broken];
    for (number, content) in cases.into_iter().enumerate() {
        fs::write(&path, &content).unwrap();
        let (storage, aside) = open(folder.path());
        let aside = aside.unwrap_or_else(|| panic!("case {number} is damaged"));
        assert!(!has_all(&storage, 500), "a new one begins");
        storage.close().await;
        assert_eq!(fs::read(&aside.now).unwrap().len(), content.len(), "nothing is lost");
        let name = aside.now.file_name().unwrap().to_string_lossy().into_owned();
        let rest = name.strip_prefix("store.redb.damaged-").unwrap_or_else(|| panic!("{name}"));
        assert!(rest.split('-').all(|part| part.parse::<u64>().is_ok()), "{name}");
        let text = aside.to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains(&name), "{text}");
    }
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 4 + 2, "each under a name of its own, beside the store and its lock");
}

/// Wherever a byte has changed: either it does not matter, or the file is set aside. Nothing panics, nothing wrong is read.
#[tokio::test]
async fn any_damage_is_found_before_anything_is_read() {
    const ENTRIES: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(folder.path(), ENTRIES).await;
    let good = fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(3);
    let (mut whole, mut aside) = (0, 0);
    for round in 0..150 {
        let mut bytes = good.clone();
        // The header, which redb trusts most, and the rest.
        let end = if round % 2 == 0 { 512 } else { bytes.len() };
        let at = random.random_range(0..end);
        bytes[at] ^= (random.next_u32() % 255 + 1) as u8;
        fs::write(&path, &bytes).unwrap();
        match Storage::open(folder.path(), &env()) {
            Ok((storage, None)) => {
                assert!(has_all(&storage, ENTRIES), "byte {at} lost everything, and nobody said so");
                storage.close().await;
                whole += 1;
            }
            Ok((storage, Some(damaged))) => {
                assert!(!has_all(&storage, ENTRIES));
                storage.close().await;
                fs::remove_file(damaged.now).unwrap();
                aside += 1;
            }
            Err(error) => assert!(error.to_string().contains("newer version"), "byte {at}: {error}"),
        }
    }
    assert!(whole > 10 && aside > 10, "{whole} did not matter, {aside} were set aside");
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(folder.path(), 3).await;
    // Ours.
    let format = redb::TableDefinition::<&str, u64>::new("stackwire/format");
    let write = |version: u64| {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(format).unwrap().insert("format", version).unwrap();
        transaction.commit().unwrap();
    };
    write(2);
    let told = |error: Error| {
        let text = error.to_string();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(text.contains("newer version") && text.contains(&path.display().to_string()), "{text}");
        text
    };
    assert!(told(refused(folder.path())).contains("has format 2, and this program knows 1"));
    write(1);
    let (storage, aside) = open(folder.path());
    assert!(has_all(&storage, 3) && aside.is_none());
    storage.close().await;

    // That of redb: the first byte of both commit slots.
    let mut bytes = fs::read(&path).unwrap();
    (bytes[64], bytes[192]) = (4, 4);
    fs::write(&path, &bytes).unwrap();
    assert!(told(refused(folder.path())).contains("found 4"));
    assert_eq!(fs::read(&path).unwrap(), bytes, "it is as it was");
}

#[test]
fn a_database_of_somebody_else_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let database = redb::Database::create(folder.path().join("store.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u8, u8>::new("theirs")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let (_storage, aside) = open(folder.path());
    assert!(aside.unwrap().reason.contains("no store of Stackwire"));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    fs::create_dir(&path).unwrap();
    assert!(refused(folder.path()).to_string().contains("no regular file"));
    fs::remove_dir(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(refused(folder.path()).to_string().contains("no regular file"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refused(&file).kind(), &Kind::Io, "a file is no folder");
}

#[tokio::test]
async fn a_file_that_is_mostly_empty_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (storage, _) = open(folder.path());
    let store = storage.namespace("files", BOUNDS).unwrap();
    for n in 0..64_u8 {
        store.put(&[n], &vec![n; 200 << 10]).await.unwrap();
    }
    // Those at the end of the file stay.
    for n in 0..62_u8 {
        store.remove(&[n]).await.unwrap();
    }
    storage.close().await;
    let before = fs::metadata(&path).unwrap().len();
    let (storage, aside) = open(folder.path());
    let store = storage.namespace("files", BOUNDS).unwrap();
    assert_eq!(store.get(&[63]).unwrap().map(|value| value.len()), Some(200 << 10));
    assert!(aside.is_none());
    storage.close().await;
    let after = fs::metadata(&path).unwrap().len();
    assert!(before > 8 << 20 && after < before / 4, "{before} bytes became {after}");
}
