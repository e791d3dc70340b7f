//! The simplest protocol that has everything: content that is not to be seen, a checksum over a number that no record
//! shares with another, a sealed end, questions that the protocol itself answers, and an alert.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use stackwire_core::{Error, Kind, Result};

use crate::{Codec, Opened};

pub const HEADER: usize = 2;
/// A kind and a checksum.
pub const TRAILER: usize = 1 + 4;
pub const MAX_CONTENT: usize = 1000;
/// Peers may send much longer ones.
pub const MAX_RECORD: usize = 30_000;

pub const DATA: u8 = 0;
pub const END: u8 = 1;
/// Wants an answer.
pub const QUESTION: u8 = 2;
pub const ANSWER: u8 = 3;
/// Your records do not open.
pub const ALERT: u8 = 4;

/// What hides content.
const MASK: u8 = 0xa5;

#[derive(Default)]
pub struct Toy {
    sent: u32,
    received: u32,
    owes_an_answer: bool,
    knobs: Arc<Knobs>,
}

/// What tests set of a toy, and see of it.
pub struct Knobs {
    /// How many records it still seals.
    pub seals: AtomicUsize,
    /// Whether it has a question.
    pub asks: AtomicBool,
    /// Whether its peer waits for a record of any kind.
    pub awaited: AtomicBool,
    /// Whether the pipe may end without a sealed end.
    pub any_end: AtomicBool,
    /// Answers it got.
    pub answers: AtomicUsize,
}

impl Default for Knobs {
    fn default() -> Self {
        let (seals, any_end) = (AtomicUsize::new(usize::MAX), AtomicBool::new(false));
        let (asks, awaited) = (AtomicBool::default(), AtomicBool::default());
        Self { seals, asks, awaited, any_end, answers: AtomicUsize::default() }
    }
}

impl Toy {
    pub fn knobs(&self) -> Arc<Knobs> {
        self.knobs.clone()
    }

    /// The next record it sends, of any kind.
    pub fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut record = [&[0; HEADER], content, &[0; TRAILER]].concat();
        self.finish(&mut record, kind).unwrap();
        record
    }

    /// The next records it sends, of data.
    pub fn records(&mut self, contents: &[&[u8]]) -> Vec<u8> {
        contents.iter().flat_map(|content| self.record(DATA, content)).collect()
    }

    fn finish(&mut self, record: &mut [u8], kind: u8) -> Result<()> {
        let seals = self.knobs.seals.load(Relaxed).checked_sub(1);
        let seals = seals.ok_or_else(|| Error::new(Kind::LimitExceeded { limit: "seals", max: 0 }, "sealing"))?;
        self.knobs.seals.store(seals, Relaxed);
        let length = u16::try_from(record.len() - HEADER).unwrap();
        record[..HEADER].copy_from_slice(&length.to_be_bytes());
        let end = record.len() - TRAILER;
        record[HEADER..end].iter_mut().for_each(|byte| *byte ^= MASK);
        record[end] = kind;
        let sum = checksum(self.sent, &record[..=end]);
        record[end + 1..].copy_from_slice(&sum.to_be_bytes());
        self.sent += 1;
        self.knobs.awaited.store(false, Relaxed);
        Ok(())
    }
}

impl Codec for Toy {
    const HEADER: usize = HEADER;
    const TRAILER: usize = TRAILER;
    const MAX_CONTENT: usize = MAX_CONTENT;
    const MAX_RECORD: usize = MAX_RECORD;

    fn name(&self) -> &'static str {
        "toy"
    }

    fn seal(&mut self, record: &mut [u8]) -> Result<()> {
        let least = usize::from(!self.is_awaited());
        assert!((HEADER + least + TRAILER..=HEADER + MAX_CONTENT + TRAILER).contains(&record.len()));
        self.finish(record, DATA)
    }

    fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + HEADER + TRAILER, 0);
        self.finish(&mut out[start..], END)
    }

    fn length(&self, header: &[u8]) -> Result<usize> {
        let length = HEADER + usize::from(u16::from_be_bytes(header.try_into().unwrap()));
        match length {
            0..=6 => Err(Error::misbehaved("a record shorter than its trailer")),
            7..=MAX_RECORD => Ok(length),
            _ => Err(Error::misbehaved("a record that is too long")),
        }
    }

    fn open(&mut self, record: &mut [u8]) -> Result<Opened> {
        let end = record.len() - TRAILER;
        if checksum(self.received, &record[..=end]).to_be_bytes() != record[end + 1..] {
            return Err(Error::new(Kind::AuthenticationFailed, "opening a record that was altered"));
        }
        self.received += 1;
        record[HEADER..end].iter_mut().for_each(|byte| *byte ^= MASK);
        match record[end] {
            DATA => Ok(Opened::Content(HEADER..end)),
            END => Ok(Opened::End),
            QUESTION => {
                self.owes_an_answer = true;
                Ok(Opened::Content(HEADER..HEADER))
            }
            ANSWER => {
                self.knobs.answers.fetch_add(1, Relaxed);
                Ok(Opened::Content(HEADER..HEADER))
            }
            ALERT => Err(Error::new(Kind::Refused, "the peer says that our records do not open")),
            other => Err(Error::misbehaved(format!("a record of the unknown kind {other}"))),
        }
    }

    fn end_of_pipe(&self) -> Result<()> {
        match self.knobs.any_end.load(Relaxed) {
            true => Ok(()),
            false => Err(Error::closed("reading without a sealed end")),
        }
    }

    fn is_awaited(&self) -> bool {
        self.knobs.awaited.load(Relaxed)
    }

    fn has_to_speak(&self) -> bool {
        self.owes_an_answer || self.knobs.asks.load(Relaxed)
    }

    fn speak(&mut self, out: &mut Vec<u8>) -> Result<()> {
        assert!(self.has_to_speak());
        let kind = if std::mem::take(&mut self.owes_an_answer) { ANSWER } else { QUESTION };
        if kind == QUESTION {
            self.knobs.asks.store(false, Relaxed);
        }
        let start = out.len();
        out.resize(start + HEADER + TRAILER, 0);
        self.finish(&mut out[start..], kind)
    }

    fn fail(&mut self, out: &mut Vec<u8>) {
        out.extend(self.record(ALERT, &[]));
    }
}

fn checksum(number: u32, bytes: &[u8]) -> u32 {
    let start = 0x811c_9dc5 ^ number.wrapping_mul(0x9e37_79b9);
    bytes.iter().fold(start, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Kinds and content of the records that a toy has sealed, from its first on.
pub fn opened(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut records, mut number) = (Vec::new(), 0);
    while let Some(header) = bytes.first_chunk::<HEADER>() {
        let (record, rest) = bytes.split_at(HEADER + usize::from(u16::from_be_bytes(*header)));
        let end = record.len() - TRAILER;
        assert_eq!(checksum(number, &record[..=end]).to_be_bytes(), record[end + 1..], "record {number} is whole");
        records.push((record[end], record[HEADER..end].iter().map(|byte| byte ^ MASK).collect()));
        number += 1;
        bytes = rest;
    }
    records
}
