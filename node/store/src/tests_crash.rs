//! What a machine that stops in the middle of anything leaves behind.
//!
//! A backend records what redb asks of a disk. After a crash the disk holds what was synced, and any part of what came
//! later: sectors are written or not, in any order. Every moment is tried.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use redb::StorageBackend;
use stackwire_core::{
    Kind, Store,
    store::{Batch, Bounds},
};

use crate::{
    Storage,
    open::{Trouble, open_backend},
};

const BOUNDS: Bounds = Bounds { entries: 1000, bytes: 1 << 20 };
/// Disks write so much at once.
const SECTOR: usize = 512;
/// Keys of a batch.
const KEYS: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
    /// The batch of this number was acknowledged.
    Acknowledged(u32),
}

#[derive(Debug, Default)]
struct Recorded {
    image: Vec<u8>,
    steps: Vec<Step>,
    full: bool,
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Recorded>>);

impl Disk {
    fn of(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Recorded { image, ..Recorded::default() })))
    }

    fn change(&self, step: Step) -> io::Result<()> {
        let mut recorded = self.0.lock();
        if recorded.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        step.make(&mut recorded.image);
        recorded.steps.push(step);
        Ok(())
    }
}

impl Step {
    fn make(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                // A write that came through although an earlier change of the length did not.
                image.resize(image.len().max(at + bytes.len()), 0);
                image[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length(length) => image.resize(*length, 0),
            Self::Sync | Self::Acknowledged(_) => {}
        }
    }

    /// Makes a part of it.
    fn tear(&self, image: &mut Vec<u8>, random: &mut StdRng) {
        let Self::Write(at, bytes) = self else { return self.make(image) };
        let mut begin = 0;
        while begin < bytes.len() {
            // Sectors are those of the disk, not of the write.
            let end = ((at + begin) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
            if random.random_bool(0.5) {
                Self::Write(at + begin, bytes[begin..end].to_vec()).make(image);
            }
            begin = end;
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().image.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let recorded = self.0.lock();
        let part = recorded.image.get(place(offset)..place(offset) + out.len());
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Step::Length(place(length)))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.change(Step::Sync)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Step::Write(place(offset), data.to_vec()))
    }
}

/// A storage on `disk`; `None` where it is damaged.
fn open(disk: &Disk) -> Option<Storage> {
    let again = disk.clone();
    let database = match open_backend(disk.clone()) {
        Ok(database) => database,
        Err(Trouble::Damaged(_)) => return None,
        Err(Trouble::Refused(error)) => panic!("{error}"),
    };
    Some(Storage::start(database, None, Box::new(move || open_backend(again.clone()))).expect("it starts"))
}

fn store(storage: &Storage) -> Arc<dyn Store> {
    storage.namespace("crash", BOUNDS).expect("a good name")
}

/// All keys with the number of the batch, and values of a length that goes by it.
fn batch(number: u32) -> Batch {
    let mut batch = Batch::new();
    for key in 0..KEYS {
        let mut value = number.to_be_bytes().to_vec();
        value.resize(4 + (number as usize * 337 + usize::from(key) * 31) % 1500, key);
        batch.put(vec![key], value);
    }
    batch
}

/// The number of the batch that is there: whole. 0: none is.
fn whole(store: &dyn Store) -> u32 {
    let numbers: Vec<Option<u32>> = (0..KEYS)
        .map(|key| {
            let value = store.get(&[key]).expect("it reads")?;
            Some(u32::from_be_bytes(value[..4].try_into().expect("a number")))
        })
        .collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "a part of a batch: {numbers:?}");
    let number = numbers[0].unwrap_or_default();
    let expected = if number == 0 { Batch::new() } else { batch(number) };
    assert_eq!(store.usage().bytes, expected.bytes() as u64, "what it holds is counted with it");
    assert_eq!(store.usage().entries, expected.len() as u64);
    number
}

#[tokio::test]
async fn a_crash_at_any_moment_leaves_whole_batches_and_all_that_were_acknowledged() {
    const BATCHES: u32 = 12;
    let disk = Disk::default();
    let storage = open(&disk).expect("an empty disk is no damage");
    let writing = store(&storage);
    for number in 1..=BATCHES {
        writing.apply(batch(number)).await.expect("it writes");
        disk.change(Step::Acknowledged(number)).expect("it records");
    }
    storage.close().await;
    let steps = std::mem::take(&mut disk.0.lock().steps);
    let mut random = StdRng::seed_from_u64(7);
    let mut seen = std::collections::BTreeSet::new();
    for moment in 0..=steps.len() {
        let before = &steps[..moment];
        let synced = before.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |at| at + 1);
        let acknowledged = before.iter().rev().find_map(|step| match step {
            Step::Acknowledged(number) => Some(*number),
            _ => None,
        });
        let acknowledged = acknowledged.unwrap_or_default();
        let mut durable = Vec::new();
        before[..synced].iter().for_each(|step| step.make(&mut durable));
        for _ in 0..4 {
            let mut image = durable.clone();
            for step in &before[synced..] {
                match random.next_u32() % 3 {
                    0 => step.make(&mut image),
                    1 => step.tear(&mut image, &mut random),
                    _ => {}
                }
            }
            let Some(storage) = open(&Disk::of(image)) else {
                assert_eq!(acknowledged, 0, "only what was never used can be torn, at moment {moment}");
                continue;
            };
            let number = whole(&*store(&storage));
            assert!((acknowledged..=acknowledged + 1).contains(&number), "batch {number} at moment {moment}");
            seen.insert((acknowledged, number));
        }
    }
    let early = seen.iter().filter(|(acknowledged, number)| number > acknowledged).count();
    assert!(early > 0 && seen.len() > BATCHES as usize, "crashes fell before and after commits: {seen:?}");
}

#[tokio::test]
async fn a_disk_that_was_full_is_used_again() {
    let disk = Disk::default();
    let storage = open(&disk).expect("an empty disk is no damage");
    let store = store(&storage);
    store.apply(batch(1)).await.expect("it writes");
    disk.0.lock().full = true;
    for number in 2..4 {
        let error = store.apply(batch(number)).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Io, "{error}");
    }
    disk.0.lock().full = false;
    store.put(b"other", b"value").await.expect("it writes again");
    store.remove(b"other").await.expect("it writes again");
    assert_eq!(whole(&*store), 1, "what failed left nothing");
}
