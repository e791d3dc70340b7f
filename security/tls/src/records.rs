//! The records after the handshake: RFC 8446 section 5.
//!
//! ```text
//!  23 │ 3 3 │ length  ║ content (at most 16 KiB) │ its type │ zeros (only others send them) │ tag (16)
//!  ──── 5 bytes ────  ║ ──────────────────────── sealed ───────────────────────────────
//! ```
//!
//! Between records of data come those by which the protocol speaks for itself: alerts, key updates, and tickets, which
//! we skip.

use std::cell::Cell;

use rustls::{AlertDescription, Error as TlsError, kernel::KernelConnection};
use stackwire_core::{Error, Kind, Result, Role, Violation};
use stackwire_records::{Codec, KeyChanges, Opened};

use crate::{
    NAME, errors,
    keys::{Keys, Secrets, TAG},
    messages::{Messages, OUR_KEY_UPDATE},
};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// A record's type, an old version, and its length.
const LENGTH: usize = 5;
/// The most content a record may have.
const MOST: usize = 1 << 14;

/// The next keys of either direction.
pub(crate) trait Rekey: Send {
    /// Those of what we send.
    fn sending(&mut self) -> std::result::Result<Secrets, TlsError>;
    /// Those of what we receive.
    fn receiving(&mut self) -> std::result::Result<Secrets, TlsError>;
}

impl<Data: Send> Rekey for KernelConnection<Data> {
    fn sending(&mut self) -> std::result::Result<Secrets, TlsError> {
        self.update_tx_secret()
    }
    fn receiving(&mut self) -> std::result::Result<Secrets, TlsError> {
        self.update_rx_secret()
    }
}

/// Records of both directions.
pub(crate) struct Records {
    sending: Keys,
    receiving: Keys,
    rekey: Box<dyn Rekey>,
    role: Role,
    messages: Messages,
    /// The peer has asked for a new key of ours.
    asked: bool,
    /// We are the dialer and have read no data: the listener may still refuse our certificate.
    unconfirmed: bool,
    /// Our end is sealed; nothing may follow it.
    ended: bool,
    /// The peer's.
    changes: KeyChanges,
    /// What the peer is told of a failure.
    farewell: Cell<Option<AlertDescription>>,
}

impl Records {
    /// Before the first record after the handshake.
    pub(crate) fn new(sending: Secrets, receiving: Secrets, rekey: Box<dyn Rekey>, role: Role) -> Result<Self> {
        Ok(Self {
            sending: Keys::new(sending)?,
            receiving: Keys::new(receiving)?,
            rekey,
            role,
            messages: Messages::default(),
            asked: false,
            unconfirmed: role == Role::Dialer,
            ended: false,
            changes: KeyChanges::default(),
            farewell: Cell::new(None),
        })
    }

    /// Notes what the peer is to be told of an error.
    fn refuse(&self, alert: AlertDescription, error: Error) -> Error {
        self.farewell.set(Some(alert));
        error
    }

    fn misbehaved(&self, alert: AlertDescription, what: &'static str) -> Error {
        let violation = match alert {
            AlertDescription::RecordOverflow => Violation::TooLarge,
            AlertDescription::UnexpectedMessage => Violation::OutOfOrder,
            _ => Violation::Malformed,
        };
        self.refuse(alert, Error::violated(violation, what))
    }

    fn seal_as(&mut self, kind: u8, record: &mut [u8]) -> Result<()> {
        let (header, sealed) = parts(record)?;
        let (inner, tag) = sealed.split_at_mut(sealed.len() - TAG);
        inner[inner.len() - 1] = kind;
        let sealed = self.sending.seal(header, inner).ok_or_else(|| self.used_up())?;
        tag.copy_from_slice(&sealed);
        Ok(())
    }

    fn used_up(&self) -> Error {
        Error::new(Kind::LimitExceeded { limit: "records", max: self.sending.sequence }, "sealing a record")
    }

    /// Appends a record of our own.
    fn say(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut record = [&[0; LENGTH], content, &[0; Self::TRAILER]].concat();
        self.seal_as(kind, &mut record)?;
        out.extend_from_slice(&record);
        Ok(())
    }

    fn altered(&self) -> Error {
        self.refuse(AlertDescription::BadRecordMac, errors::of_session(&TlsError::DecryptError))
    }

    /// Reads what a record held: content, its type, and zeroes. Content comes first.
    fn read(&mut self, inner: &[u8]) -> Result<Opened> {
        if inner.len() > MOST + 1 {
            return Err(self.misbehaved(AlertDescription::RecordOverflow, "a record with too much content"));
        }
        let Some(end) = inner.iter().rposition(|byte| *byte != 0) else {
            return Err(self.misbehaved(AlertDescription::UnexpectedMessage, "a record without a type"));
        };
        let (content, kind) = (&inner[..end], inner[end]);
        if self.messages.is_unfinished() && kind != HANDSHAKE {
            let what = "a record in the middle of a handshake message";
            return Err(self.misbehaved(AlertDescription::UnexpectedMessage, what));
        }
        if kind == DATA && !content.is_empty() {
            self.unconfirmed = false;
            self.changes.carried(end);
            return Ok(Opened::Content(0..end));
        }
        match kind {
            DATA => Ok(NOTHING),
            ALERT => self.read_alert(content),
            HANDSHAKE => self.read_message(content),
            _ => Err(self.misbehaved(AlertDescription::UnexpectedMessage, "a record of an unexpected type")),
        }
    }

    fn read_alert(&self, content: &[u8]) -> Result<Opened> {
        let [_level, description] = *content else {
            return Err(self.misbehaved(AlertDescription::DecodeError, "an alert that is not two bytes"));
        };
        match AlertDescription::from(description) {
            AlertDescription::CloseNotify => Ok(Opened::End),
            // Says nothing that the end does not say.
            AlertDescription::UserCanceled => Ok(NOTHING),
            alert if self.unconfirmed => Err(errors::refused(alert)),
            alert => Err(errors::of_session(&TlsError::AlertReceived(alert))),
        }
    }

    fn read_message(&mut self, content: &[u8]) -> Result<Opened> {
        let update = self.messages.read(content, self.role);
        let update = update.map_err(|alert| self.misbehaved(alert, "a handshake message out of place"))?;
        if let Some(update) = update {
            self.changes.spend().map_err(|error| self.refuse(AlertDescription::UnexpectedMessage, error))?;
            self.receiving = Keys::new(self.rekey.receiving().map_err(|e| errors::of_session(&e))?)?;
            self.asked |= update.requested;
        }
        Ok(NOTHING)
    }
}

/// Writes a record's header. Returns it, and where what is sealed belongs.
fn parts(record: &mut [u8]) -> Result<(&[u8], &mut [u8])> {
    let (header, sealed) = record.split_at_mut(LENGTH);
    let length = u16::try_from(sealed.len());
    let [high, low] = length.map_err(|e| Error::new(Kind::Internal, "sealing a record").caused_by(e))?.to_be_bytes();
    header.copy_from_slice(&[DATA, 3, 3, high, low]);
    Ok((header, sealed))
}

const NOTHING: Opened = Opened::Content(0..0);

impl Codec for Records {
    const HEADER: usize = LENGTH;
    const TRAILER: usize = 1 + TAG;
    const MAX_CONTENT: usize = MOST;
    const MAX_RECORD: usize = LENGTH + MOST + 256;

    fn name(&self) -> &'static str {
        NAME
    }

    fn seal(&mut self, record: &mut [u8]) -> Result<()> {
        self.seal_as(DATA, record)
    }

    fn seal_copy(&mut self, content: &[u8], record: &mut [u8]) -> Result<()> {
        let (header, sealed) = parts(record)?;
        self.sending.seal_copy(header, content, DATA, sealed).ok_or_else(|| self.used_up())
    }

    fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.ended = true;
        self.say(ALERT, &[1, AlertDescription::CloseNotify.into()], out)
    }

    fn length(&self, header: &[u8]) -> Result<usize> {
        let &[kind, _, _, high, low] = header else {
            return Err(Error::new(Kind::Internal, "a header of five bytes"));
        };
        let length = LENGTH + usize::from(u16::from_be_bytes([high, low]));
        if kind != DATA {
            let what = "a record that is not sealed, after the handshake";
            return Err(self.misbehaved(AlertDescription::UnexpectedMessage, what));
        }
        if length > Self::MAX_RECORD {
            return Err(self.misbehaved(AlertDescription::RecordOverflow, "a record that is too long"));
        }
        if length < LENGTH + TAG {
            return Err(self.misbehaved(AlertDescription::BadRecordMac, "a record shorter than its tag"));
        }
        Ok(length)
    }

    fn open(&mut self, record: &mut [u8]) -> Result<Opened> {
        let (header, sealed) = record.split_at_mut(LENGTH);
        let Some(length) = self.receiving.open(header, sealed) else { return Err(self.altered()) };
        Ok(match self.read(&sealed[..length])? {
            Opened::Content(content) => Opened::Content(LENGTH..LENGTH + content.end),
            Opened::End => Opened::End,
        })
    }

    fn open_copy(&mut self, record: &mut [u8], content: &mut [u8]) -> Result<Opened> {
        let (header, sealed) = record.split_at_mut(LENGTH);
        let Some(length) = self.receiving.open_copy(header, sealed, content) else { return Err(self.altered()) };
        self.read(&content[..length])
    }

    fn too_many_empty(&self) -> Error {
        let error = Error::violated(Violation::Flood, "one record after the other without data");
        self.refuse(AlertDescription::UnexpectedMessage, error)
    }

    fn end_of_pipe(&self) -> Result<()> {
        Err(Error::closed("the peer closed the pipe without closing the TLS session; bytes may be missing"))
    }

    fn has_to_speak(&self) -> bool {
        (self.asked || self.sending.is_worn()) && !self.ended
    }

    fn speak(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.has_to_speak() {
            self.asked = false;
            self.say(HANDSHAKE, &OUR_KEY_UPDATE, out)?;
            self.sending = Keys::new(self.rekey.sending().map_err(|e| errors::of_session(&e))?)?;
        }
        Ok(())
    }

    fn fail(&mut self, out: &mut Vec<u8>) {
        if let Some(alert) = self.farewell.take()
            && !self.ended
        {
            // What can't be sealed is not told.
            let _told = self.say(ALERT, &[2, alert.into()], out);
        }
    }
}

#[cfg(test)]
mod tests;
