//! The frame header. Source: SPEC.md, “Frames”.

use stackwire_core::{Error, Priority, Result};

/// Bytes of a header.
pub const HEADER: usize = 8;

/// The most bytes of payload that a frame may have.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// The flag of a DATA frame that is its sender's last.
pub const END: u8 = 1;

/// The code with which a stream is refused, or given up, for want of room.
pub const NO_RESOURCES: u32 = 0x1002;

/// The code of a CLOSE that follows a violation.
pub const VIOLATION: u32 = 0x1003;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// What its sender takes; the first frame, and only that.
    Settings = 0x00,
    /// Opens a stream.
    Open = 0x01,
    /// Bytes of a stream.
    Data = 0x02,
    /// More bytes may be sent.
    Credit = 0x03,
    /// More streams may be opened.
    Streams = 0x04,
    /// Ends both directions of a stream.
    Reset = 0x05,
    /// Its sender reads no more of a stream.
    Stop = 0x06,
    /// A stream has another priority.
    Priority = 0x07,
    /// To be answered.
    Ping = 0x08,
    /// The answer.
    Pong = 0x09,
    /// A datagram beside a stream.
    Datagram = 0x0a,
    /// Its sender is about to close.
    GoAway = 0x0b,
    /// The last frame.
    Close = 0x0c,
}

impl FrameKind {
    const ALL: [Self; 13] = [
        Self::Settings,
        Self::Open,
        Self::Data,
        Self::Credit,
        Self::Streams,
        Self::Reset,
        Self::Stop,
        Self::Priority,
        Self::Ping,
        Self::Pong,
        Self::Datagram,
        Self::GoAway,
        Self::Close,
    ];
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: u8,
    /// Bytes of payload that follow.
    pub length: u16,
    /// Its stream; 0 is the connection.
    pub stream: u32,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let [l0, l1] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [self.kind as u8, self.flags, l0, l1, s0, s1, s2, s3]
    }

    /// Reads a header. `PeerMisbehaved` for an unknown kind, an unknown flag, and a length or a stream that the kind
    /// does not allow.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self> {
        let [kind, flags, l0, l1, s0, s1, s2, s3] = bytes;
        let kind = *FrameKind::ALL
            .get(usize::from(kind))
            .ok_or_else(|| Error::misbehaved(format!("a frame of the unknown kind {kind:#04x}")))?;
        let header =
            Self { kind, flags, length: u16::from_be_bytes([l0, l1]), stream: u32::from_be_bytes([s0, s1, s2, s3]) };
        match header.fault() {
            None => Ok(header),
            Some(fault) => Err(Error::misbehaved(format!("{kind:?} with a wrong {fault}: {header:?}"))),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        use FrameKind::*;
        let known = match self.kind {
            Open | Priority => 0b11,
            Data => END,
            _ => 0,
        };
        if self.flags & !known != 0 {
            return Some("flag");
        }
        let length = usize::from(self.length);
        let right_length = match self.kind {
            Settings => length.is_multiple_of(crate::settings::SETTING) && length <= crate::settings::MAX_LENGTH,
            Open | Priority => length == 0,
            Data => length > 0 || self.flags & END != 0,
            Credit | Streams | Reset | Stop | GoAway | Close => length == 4,
            Ping | Pong => length == 8,
            Datagram => true,
        };
        if !right_length {
            return Some("length");
        }
        let right_stream = match self.kind {
            Settings | Streams | Ping | Pong | GoAway | Close => self.stream == 0,
            Open | Data | Reset | Stop | Priority | Datagram => self.stream != 0,
            Credit => true,
        };
        (!right_stream).then_some("stream")
    }
}

/// The number of a frame that carries nothing else.
pub fn number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}

/// A frame that carries a number.
pub fn encode_number(kind: FrameKind, stream: u32, number: u32) -> [u8; HEADER + 4] {
    let mut frame = [0; HEADER + 4];
    frame[..HEADER].copy_from_slice(&Header { kind, flags: 0, length: 4, stream }.encode());
    frame[HEADER..].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A PING or PONG.
pub fn encode_ping(kind: FrameKind, payload: [u8; 8]) -> [u8; HEADER + 8] {
    let mut frame = [0; HEADER + 8];
    frame[..HEADER].copy_from_slice(&Header { kind, flags: 0, length: 8, stream: 0 }.encode());
    frame[HEADER..].copy_from_slice(&payload);
    frame
}

/// The flags of a priority.
pub fn priority_flags(priority: Priority) -> u8 {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

/// The priority of flags; bits that are not a priority's are not looked at.
pub fn priority_of(flags: u8) -> Priority {
    match flags & 0b11 {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    }
}
