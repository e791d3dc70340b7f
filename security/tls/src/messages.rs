//! Handshake messages after the handshake: RFC 8446 section 4.6.

use rustls::AlertDescription;
use stackwire_core::Role;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// Type and length.
const HEADER: usize = 4;
/// The longest ticket there can be, roughly.
const MAX_TICKET: usize = 1 << 17;

/// The message by which we change our key, and do not ask the peer to change its own.
pub(crate) const OUR_KEY_UPDATE: [u8; HEADER + 1] = [KEY_UPDATE, 0, 0, 1, 0];

/// Reads messages out of the records they come in, which may split them anywhere. Holds no more than a header: tickets
/// are skipped, as we resume nothing.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// What there is of a header.
    header: [u8; HEADER],
    filled: usize,
    /// How much of a ticket is still to come.
    ticket: usize,
}

/// The peer changes its key with the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUpdate {
    /// And wants us to change ours.
    pub(crate) requested: bool,
}

impl Messages {
    /// Whether a message has begun and not ended: no other record may come between.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.filled > 0 || self.ticket > 0
    }

    /// Reads the content of the next record, for a side in `role`. Fails with what the peer is told.
    pub(crate) fn read(&mut self, mut content: &[u8], role: Role) -> Result<Option<KeyUpdate>, AlertDescription> {
        if content.is_empty() {
            return Err(AlertDescription::UnexpectedMessage);
        }
        loop {
            let skipped = content.len().min(self.ticket);
            self.ticket -= skipped;
            content = &content[skipped..];
            let missing = HEADER - self.filled;
            let (header, rest) = content.split_at(content.len().min(missing));
            self.header[self.filled..][..header.len()].copy_from_slice(header);
            self.filled += header.len();
            content = rest;
            if self.filled < HEADER {
                return Ok(None);
            }
            let [kind, high, middle, low] = self.header;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            match (kind, role) {
                (KEY_UPDATE, _) if length != 1 => return Err(AlertDescription::DecodeError),
                (KEY_UPDATE, _) => match content {
                    [] => return Ok(None),
                    [request @ (0 | 1)] => {
                        self.filled = 0;
                        return Ok(Some(KeyUpdate { requested: *request == 1 }));
                    }
                    [_] => return Err(AlertDescription::IllegalParameter),
                    // It is the last message with its key.
                    _ => return Err(AlertDescription::UnexpectedMessage),
                },
                (NEW_SESSION_TICKET, Role::Dialer) if length > MAX_TICKET => return Err(AlertDescription::DecodeError),
                (NEW_SESSION_TICKET, Role::Dialer) => {
                    self.filled = 0;
                    self.ticket = length;
                }
                _ => return Err(AlertDescription::UnexpectedMessage),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(length: usize) -> Vec<u8> {
        let header = u32::try_from(length).unwrap() | u32::from(NEW_SESSION_TICKET) << 24;
        [&header.to_be_bytes()[..], &vec![KEY_UPDATE; length]].concat()
    }

    fn read(records: &[&[u8]], role: Role) -> Result<Vec<KeyUpdate>, AlertDescription> {
        let mut messages = Messages::default();
        let mut updates = Vec::new();
        for record in records {
            updates.extend(messages.read(record, role)?);
        }
        assert!(!messages.is_unfinished());
        Ok(updates)
    }

    #[test]
    fn only_dialers_get_tickets() {
        for length in [0, 1, 100, MAX_TICKET] {
            assert_eq!(read(&[&ticket(length)], Role::Dialer), Ok(vec![]));
            assert_eq!(read(&[&ticket(length)], Role::Listener), Err(AlertDescription::UnexpectedMessage));
        }
        assert_eq!(read(&[&ticket(MAX_TICKET + 1)], Role::Dialer), Err(AlertDescription::DecodeError));
    }

    #[test]
    fn a_key_update_ends_its_record() {
        let both = [&ticket(7)[..], &OUR_KEY_UPDATE].concat();
        assert_eq!(read(&[&both], Role::Dialer), Ok(vec![KeyUpdate { requested: false }]));
        let both = [&OUR_KEY_UPDATE[..], &ticket(7)].concat();
        assert_eq!(read(&[&both], Role::Dialer), Err(AlertDescription::UnexpectedMessage));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (record, alert) in [
            (&[][..], AlertDescription::UnexpectedMessage),
            (&[KEY_UPDATE, 0, 0, 0], AlertDescription::DecodeError),
            (&[KEY_UPDATE, 0, 0, 2, 0, 0], AlertDescription::DecodeError),
            (&[KEY_UPDATE, 0, 0, 1, 2], AlertDescription::IllegalParameter),
            (&[20, 0, 0, 32], AlertDescription::UnexpectedMessage),
        ] {
            assert_eq!(read(&[record], Role::Dialer), Err(alert), "{record:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(records: Vec<Vec<u8>>, dialer: bool) {
            let mut messages = Messages::default();
            for record in &records {
                let _refused = messages.read(record, if dialer { Role::Dialer } else { Role::Listener });
            }
        }

        #[test]
        fn every_way_of_splitting_gives_the_same_messages(
            lengths in proptest::collection::vec(0..40usize, 0..4),
            requested: bool,
            splits in proptest::collection::vec(1..20usize, 1..8),
        ) {
            let mut bytes: Vec<u8> = lengths.into_iter().flat_map(ticket).collect();
            bytes.extend([KEY_UPDATE, 0, 0, 1, requested.into()]);
            let mut records = Vec::new();
            let mut rest = &bytes[..];
            for length in splits.iter().cycle() {
                let (record, later) = rest.split_at(rest.len().min(*length));
                records.push(record);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(read(&records, Role::Dialer), Ok(vec![KeyUpdate { requested }]));
        }
    }
}
