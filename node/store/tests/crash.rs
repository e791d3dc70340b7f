//! A process that is killed in the middle of writes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use stackwire_conformance::env;
use stackwire_core::store::{Batch, Bounds};
use stackwire_store::Storage;

const BOUNDS: Bounds = Bounds { entries: 1000, bytes: 1 << 20 };
/// Tells the child where to write.
const FOLDER: &str = "STACKWIRE_STORE_CRASH_FOLDER";
const KEYS: u8 = 32;

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for key in 0..KEYS {
        batch.put(vec![key], number.to_be_bytes().repeat(100));
    }
    batch
}

/// The number of the batch that the store in `folder` holds. Panics where it holds a part of one, or is damaged.
async fn number_in(folder: &Path) -> u64 {
    let (storage, aside) = Storage::open(folder, &env()).expect("it opens");
    assert!(aside.is_none(), "it was damaged: {aside:?}");
    let store = storage.namespace("crash", BOUNDS).expect("a good name");
    let number = |key| store.get(&[key]).unwrap().map(|value| u64::from_be_bytes(value[..8].try_into().unwrap()));
    let first = number(0);
    assert!((0..KEYS).all(|key| number(key) == first), "a part of a batch");
    storage.close().await;
    first.unwrap_or_default()
}

/// Not a test of its own: what the other one runs and kills.
#[tokio::test]
#[ignore = "writes until it is killed"]
async fn child() {
    let folder = std::env::var_os(FOLDER).expect("the parent says where");
    let (storage, _) = Storage::open(folder.as_ref(), &env()).expect("it opens");
    let store = storage.namespace("crash", BOUNDS).expect("a good name");
    let held = store.get(&[0]).unwrap().map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap()));
    for number in held + 1.. {
        store.apply(batch(number)).await.expect("it writes");
        println!("acknowledged {number}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let acknowledged = |line: String| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok();
        // It goes on writing until the kill, so that falls anywhere.
        let seen = lines.filter_map(acknowledged).nth(3 * round).expect("the child writes");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let number = number_in(folder.path()).await;
        assert!(number >= seen && number > last, "{number} is there, {seen} was acknowledged, {last} was there before");
        last = number;
    }
}

#[tokio::test]
async fn a_copy_taken_at_any_time_opens() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (storage, _) = Storage::open(folder.path(), &env()).unwrap();
    let store = storage.namespace("crash", BOUNDS).unwrap();
    for number in 1..=20 {
        store.apply(batch(number)).await.unwrap();
        // Between two writes the file on disk is whole, although it is open.
        let copy = copies.path().join(number.to_string());
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(folder.path().join("store.redb"), copy.join("store.redb")).unwrap();
        assert_eq!(number_in(&copy).await, number);
    }
}
