//! Chunks of a stream's data, made of buffers that all connections share.

use std::collections::VecDeque;

use stackwire_core::Buffer;

/// An empty buffer for `bytes`: a shared one where they fill at least half of it.
fn buffer(bytes: usize) -> Buffer {
    match (Buffer::CHUNK / 2..=Buffer::CHUNK).contains(&bytes) {
        true => Buffer::chunk(),
        false => Buffer::with_capacity(bytes),
    }
}

/// Appends `data` behind the last of `chunks`, each of which has `reserved` bytes in front of its data and is full with
/// `full` bytes.
pub(crate) fn append(chunks: &mut VecDeque<Buffer>, reserved: usize, full: usize, mut data: &[u8]) {
    while !data.is_empty() {
        let Some(last) = chunks.back_mut().filter(|last| last.len() < full) else {
            let mut chunk = buffer((reserved + data.len()).min(full));
            chunk.resize(reserved, 0);
            chunks.push_back(chunk);
            continue;
        };
        let (part, rest) = data.split_at(data.len().min(full - last.len()));
        let length = last.len() + part.len();
        if last.capacity() < length {
            let mut larger = buffer((2 * length).min(full));
            larger.extend_from_slice(last);
            *last = larger;
        }
        last.extend_from_slice(part);
        data = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_fills_chunks_to_the_brim() {
        let mut chunks = VecDeque::new();
        append(&mut chunks, 2, 10, b"0123456789");
        append(&mut chunks, 2, 10, b"abc");
        let bytes: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..]).collect();
        assert_eq!(bytes, [b"\0\x0001234567", &b"\0\x0089abc"[..]]);
    }

    #[test]
    fn memory_stays_near_what_is_held() {
        let mut chunks = VecDeque::new();
        for n in 1..=100_000 {
            append(&mut chunks, 0, Buffer::CHUNK, b"x");
            let memory: usize = chunks.iter().map(|chunk| chunk.capacity()).sum();
            assert!(memory <= 4 * n, "{memory} for {n}");
            assert_eq!(chunks.len(), usize::div_ceil(n, Buffer::CHUNK));
        }
    }
}
