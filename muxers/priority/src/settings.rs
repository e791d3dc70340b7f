//! What a side takes, told in its first frame. Source: SPEC.md, “Settings”.

use stackwire_core::{Error, Result};

use crate::wire::{FrameKind, HEADER, Header};

/// Bytes of one setting.
pub const SETTING: usize = 6;

/// The most bytes of payload of a SETTINGS frame.
pub const MAX_LENGTH: usize = 32 * SETTING;

/// The most credit that may be given and not used, of bytes and of streams each; also the largest value of a setting.
pub const MAX_CREDIT: u32 = i32::MAX as u32;

const STREAMS: u16 = 1;
const STREAM_WINDOW: u16 = 2;
const CONNECTION_WINDOW: u16 = 3;

/// What the peer of the side that sent it may do at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Streams it may open.
    pub streams: u32,
    /// Bytes it may send on each stream.
    pub stream_window: u32,
    /// Bytes it may send on all streams together.
    pub connection_window: u32,
}

impl Settings {
    /// What holds until the settings arrive, and for those that they leave out.
    pub const INITIAL: Self = Self { streams: 64, stream_window: 65_536, connection_window: 65_536 };

    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let settings =
            [(STREAMS, self.streams), (STREAM_WINDOW, self.stream_window), (CONNECTION_WINDOW, self.connection_window)];
        let length = (settings.len() * SETTING) as u16;
        let mut frame = Vec::with_capacity(HEADER + usize::from(length));
        frame.extend_from_slice(&Header { kind: FrameKind::Settings, flags: 0, length, stream: 0 }.encode());
        for (id, value) in settings {
            frame.extend_from_slice(&id.to_be_bytes());
            frame.extend_from_slice(&value.to_be_bytes());
        }
        frame
    }

    /// Reads a frame's payload. `PeerMisbehaved` for a value out of range, a setting that occurs twice, and bytes
    /// that are no settings.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let (settings, []) = payload.as_chunks::<SETTING>() else {
            return Err(Error::misbehaved("settings that end within one"));
        };
        let mut result = Self::INITIAL;
        let mut seen = Vec::new();
        for [i0, i1, value @ ..] in settings {
            let (id, value) = (u16::from_be_bytes([*i0, *i1]), u32::from_be_bytes(*value));
            if seen.contains(&id) {
                return Err(Error::misbehaved(format!("setting {id} occurs twice")));
            }
            seen.push(id);
            let (field, least) = match id {
                STREAMS => (&mut result.streams, 0),
                STREAM_WINDOW => (&mut result.stream_window, Self::INITIAL.stream_window),
                CONNECTION_WINDOW => (&mut result.connection_window, Self::INITIAL.connection_window),
                _ => continue,
            };
            if !(least..=MAX_CREDIT).contains(&value) {
                return Err(Error::misbehaved(format!("setting {id} is {value}; {least} to {MAX_CREDIT} may be")));
            }
            *field = value;
        }
        Ok(result)
    }
}
