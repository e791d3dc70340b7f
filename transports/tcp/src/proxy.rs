//! The header of the PROXY protocol, version 2 (HAProxy's `proxy-protocol.txt`, section 2.2): a load balancer in front
//! of us says whose connection it passes on.
//!
//! ```text
//! 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a   the signature
//! 20 | 21                               version 2, LOCAL (the proxy's own connection) or PROXY
//! 00 | 11 | 12 | 21 | 22 | 31 | 32      UNSPEC; TCP and UDP over IPv4; TCP and UDP over IPv6; Unix sockets
//! nn nn                                 length of what follows, big-endian
//! source, destination, two ports        4 + 4 + 2 + 2 or 16 + 16 + 2 + 2 bytes, big-endian
//! type-length-values                    what is left of the length
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use stackwire_core::{Error, Layer, Result};
use stackwire_socket::canonical;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::NAME;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const UDP4: u8 = 0x12;
const TCP6: u8 = 0x21;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

/// The source, the destination, and a port of each.
const ADDRESSES4: usize = 4 + 4 + 2 + 2;
const ADDRESSES6: usize = 16 + 16 + 2 + 2;

/// Reads the header and not a byte more: at most 16 + 65535 bytes, in which it holds at most 52.
///
/// `Some` is the source of a TCP connection that was passed on; `None` where the header names none, and the socket's own
/// address is the true one: that of the proxy itself (LOCAL, a health check) or of a family that is not TCP over IP.
/// Type-length-values are skipped. Fails with `PeerMisbehaved` at the first byte that is no such header, `Closed` where
/// the connection ends within it. Waits as long as the peer does; time limits are the caller's. A dropped future leaves
/// the connection somewhere within the header.
pub async fn read_header(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<SocketAddr>> {
    let mut fixed = [0; 16];
    let mut have = 0;
    while have < fixed.len() {
        let bytes = fill(from).await?;
        let n = bytes.len().min(fixed.len() - have);
        fixed[have..have + n].copy_from_slice(&bytes[..n]);
        from.consume(n);
        have += n;
        // Checked at once: whoever speaks another protocol may be waiting for us.
        let signature = have.min(SIGNATURE.len());
        if fixed[..signature] != SIGNATURE[..signature] {
            return Err(misbehaved("a connection without the PROXY header that `proxy_protocol` requires"));
        }
    }
    let [.., command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let addresses = match (command, family) {
        // Section 2.2: whatever else a LOCAL header says is not to be believed.
        (LOCAL, _) => 0,
        (PROXY, TCP4) => ADDRESSES4,
        (PROXY, TCP6) => ADDRESSES6,
        (PROXY, UNSPEC | UDP4 | UDP6 | UNIX_STREAM | UNIX_DATAGRAM) => 0,
        (PROXY, _) => return Err(misbehaved("a PROXY header of an unknown family")),
        _ => return Err(misbehaved("a PROXY header of an unknown version or command")),
    };
    let Some(more) = length.checked_sub(addresses) else {
        return Err(misbehaved("a PROXY header that is too short for its addresses"));
    };
    let source = match addresses {
        ADDRESSES4 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = read::<ADDRESSES4>(from).await?;
            Some((Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
        }
        ADDRESSES6 => {
            let bytes = read::<ADDRESSES6>(from).await?;
            let (ip, rest) = bytes.split_first_chunk::<16>().expect("36 bytes are more than 16");
            Some((Ipv6Addr::from(*ip).into(), u16::from_be_bytes([rest[16], rest[17]])))
        }
        _ => None,
    };
    skip(from, more).await?;
    Ok(source.map(|(ip, port)| canonical(SocketAddr::new(ip, port))))
}

async fn read<const N: usize>(from: &mut (impl AsyncBufRead + Unpin)) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await.map_err(failed)?;
    Ok(bytes)
}

async fn skip(from: &mut (impl AsyncBufRead + Unpin), mut more: usize) -> Result<()> {
    while more > 0 {
        let n = fill(from).await?.len().min(more);
        from.consume(n);
        more -= n;
    }
    Ok(())
}

/// What has arrived, at least a byte.
async fn fill(from: &mut (impl AsyncBufRead + Unpin)) -> Result<&[u8]> {
    match from.fill_buf().await {
        Ok([]) => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
        Ok(bytes) => Ok(bytes),
        Err(e) => Err(failed(e)),
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("reading the PROXY header", error).at(Layer::Transport, NAME)
}

fn misbehaved(during: &'static str) -> Error {
    Error::misbehaved(during).at(Layer::Transport, NAME)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, executor::block_on};
    use proptest::{collection::vec, prelude::*};
    use stackwire_core::{Buffered, Kind, Violation};
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read of `bytes`, which come in pieces, and what is left of them.
    fn read_all(bytes: &[u8], piece: usize) -> (Result<Option<SocketAddr>>, Vec<u8>) {
        let mut from = Buffered::with_capacity(piece, bytes);
        block_on(async {
            let read = read_header(&mut from).await;
            let mut rest = Vec::new();
            from.read_to_end(&mut rest).await.unwrap();
            (read, rest)
        })
    }

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    fn source(bytes: &[u8]) -> Option<String> {
        let (read, rest) = read_all(&[bytes, b"rest"].concat(), 7);
        assert_eq!(rest, b"rest");
        read.unwrap().map(|address| address.to_string())
    }

    #[test]
    fn the_bytes_of_the_specification() {
        let ipv4 = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\
                     \xc0\x00\x02\x01\xc6\x33\x64\x02\xd4\x31\x01\xbb";
        assert_eq!(source(ipv4).as_deref(), Some("192.0.2.1:54321"));
        let ipv6 = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x21\x00\x24\
                     \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\
                     \xd4\x31\x01\xbb";
        assert_eq!(source(ipv6).as_deref(), Some("[2001:db8::1]:54321"));
        let local = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00";
        assert_eq!(source(local), None);
    }

    #[test]
    fn headers_that_name_no_source_of_ours_keep_the_sockets() {
        for family in [UNSPEC, UDP4, UDP6, UNIX_STREAM, UNIX_DATAGRAM] {
            for body in [&[][..], &[1; 12], &[1; 36], &[1; 216]] {
                assert_eq!(source(&header(PROXY, family, body)), None);
            }
        }
        for family in [UNSPEC, TCP4, TCP6, 0x77] {
            assert_eq!(source(&header(LOCAL, family, &[1; 36])), None, "a health check of the proxy's own");
        }
    }

    #[test]
    fn values_behind_the_addresses_are_skipped() {
        let values = [&[192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187][..], &[0x04, 0, 3, 7, 7, 7]].concat();
        assert_eq!(source(&header(PROXY, TCP4, &values)).as_deref(), Some("192.0.2.1:80"));
        let longest = [&[0; 10][..], &[0xff, 0xff], &[192, 0, 2, 1], &[9; 0xffff - 16]].concat();
        assert_eq!(source(&header(PROXY, TCP6, &longest)).as_deref(), Some("192.0.2.1:2313"), "and shown as IPv4");
    }

    #[test]
    fn what_is_no_header_is_refused_at_its_first_wrong_byte() {
        for (bytes, word) in [
            (b"\x13/multistream/1.0.0\n".to_vec(), "without the PROXY header"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n".to_vec(), "without the PROXY header"),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), "without the PROXY header"),
            (b"\r\nX".to_vec(), "without the PROXY header"),
            (header(0x11, TCP4, &[0; 12]), "unknown version or command"),
            (header(0x22, TCP4, &[0; 12]), "unknown version or command"),
            (header(PROXY, 0x13, &[0; 12]), "unknown family"),
            (header(PROXY, 0x41, &[0; 36]), "unknown family"),
            (header(PROXY, TCP4, &[0; 11]), "too short"),
            (header(PROXY, TCP6, &[0; 12]), "too short"),
        ] {
            for piece in [1, 64] {
                let error = read_all(&bytes, piece).0.unwrap_err();
                assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed));
                assert!(error.to_string().contains(word), "{error}");
            }
        }
    }

    #[test]
    fn a_connection_that_ends_within_the_header_is_closed() {
        let whole = header(PROXY, TCP4, &[1; 20]);
        for end in 0..whole.len() {
            assert_eq!(read_all(&whole[..end], 64).0.unwrap_err().kind(), &Kind::Closed, "{end}");
        }
    }

    #[test]
    fn who_speaks_another_protocol_is_not_waited_for() {
        let (mut peer, ours) = tokio::io::duplex(64);
        peer.write_all(b"\x13").now_or_never().unwrap().unwrap();
        let refused = read_header(&mut Buffered::new(ours)).now_or_never();
        assert_eq!(refused.expect("one byte tells").unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, valid_start: bool, piece in 1usize..64) {
            let bytes = if valid_start { [&SIGNATURE[..], &[PROXY], &bytes].concat() } else { bytes };
            let (read, rest) = read_all(&bytes, piece);
            prop_assert!(bytes.ends_with(&rest));
            prop_assert!(read.is_err() || bytes.starts_with(SIGNATURE));
        }

        #[test]
        fn a_source_comes_through_and_the_rest_stays(
            source: SocketAddr,
            values in vec(any::<u8>(), 0..300),
            rest in vec(any::<u8>(), 0..100),
            piece in 1usize..400,
        ) {
            let (family, mut body) = match source.ip() {
                std::net::IpAddr::V4(ip) => (TCP4, [ip.octets(), [1; 4]].concat()),
                std::net::IpAddr::V6(ip) => (TCP6, [ip.octets(), [1; 16]].concat()),
            };
            body.extend(source.port().to_be_bytes());
            body.extend([1, 187]);
            body.extend(&values);
            let (read, left) = read_all(&[header(PROXY, family, &body), rest.clone()].concat(), piece);
            let read = read.unwrap().unwrap();
            prop_assert_eq!((read.ip(), read.port()), (source.ip().to_canonical(), source.port()));
            prop_assert_eq!(left, rest);
        }
    }
}
