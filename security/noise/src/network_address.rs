//! Addresses as Diem and Aptos write them: a BCS byte string that holds a BCS list of protocols.
//!
//! Their text form is that of [`Multiaddr`], with a fixed path: `/ip4/10.0.0.16/tcp/6180/noise-ik/0x…/handshake/0`.
//!
//! ```
//! use stackwire_core::address;
//! use stackwire_security_noise::network_address;
//!
//! let address = address::parse("/ip4/10.0.0.16/tcp/80").unwrap();
//! let bytes = network_address::encode(&address).unwrap();
//! assert_eq!(bytes, [9, 2, 0, 10, 0, 0, 16, 5, 80, 0]);
//! assert_eq!(network_address::decode(&bytes).unwrap(), address);
//! ```

use stackwire_bcs::{Reader, put_bytes, put_count};
use stackwire_core::{
    AddressPart, Error, Kind, Multiaddr, Result,
    address::{Fixed, FixedPath},
};

use crate::crypto::KEY;

/// The longest address that is read, in bytes.
const MAX_BYTES: u32 = 1024;
/// The most protocols of an address that is read.
const MAX_PROTOCOLS: u32 = 16;
/// The longest name, in bytes.
const MAX_NAME: u32 = 255;

/// The number of each protocol.
mod tag {
    pub const IP4: u32 = 0;
    pub const IP6: u32 = 1;
    pub const DNS: u32 = 2;
    pub const DNS4: u32 = 3;
    pub const DNS6: u32 = 4;
    pub const TCP: u32 = 5;
    pub const MEMORY: u32 = 6;
    pub const NOISE_IK: u32 = 7;
    pub const HANDSHAKE: u32 = 8;
}

/// The bytes of an address, length included. Fails with `AddressInvalid`, naming the part, where the form has none for
/// it: anything but IP addresses, names, TCP, memory ports below 65 536, `/noise-ik` with a key and `/handshake`. Nor has
/// an address of nothing a form, or one of more than 16 parts or 1024 bytes.
pub fn encode(address: &Multiaddr) -> Result<Vec<u8>> {
    let steps = address.fixed().steps();
    let count = address.iter().count() + steps.len();
    if address.is_empty() || count > MAX_PROTOCOLS as usize {
        return Err(invalid(format!("a network address has 1 to {MAX_PROTOCOLS} parts, not {count}")));
    }
    let mut protocols = Vec::new();
    put_count(&mut protocols, count);
    for part in address {
        put_part(&mut protocols, &part)?;
    }
    for step in steps {
        put_step(&mut protocols, step)?;
    }
    if protocols.len() > MAX_BYTES as usize {
        return Err(invalid(format!("a network address has at most {MAX_BYTES} bytes")));
    }
    let mut out = Vec::new();
    put_bytes(&mut out, &protocols);
    Ok(out)
}

fn put_part(out: &mut Vec<u8>, part: &AddressPart<'_>) -> Result<()> {
    let mut put = |tag: u32, data: &[u8]| {
        put_count(out, tag as usize);
        out.extend_from_slice(data);
    };
    let name = |name: &str| {
        check_name(name).map_err(|why| invalid(format!("the name “{name}” {why}")))?;
        let mut data = Vec::new();
        put_bytes(&mut data, name.as_bytes());
        Ok::<_, Error>(data)
    };
    match part {
        AddressPart::Ip4(ip) => put(tag::IP4, &ip.octets()),
        AddressPart::Ip6(ip) => put(tag::IP6, &ip.octets()),
        AddressPart::Dns(dns) => put(tag::DNS, &name(dns)?),
        AddressPart::Dns4(dns) => put(tag::DNS4, &name(dns)?),
        AddressPart::Dns6(dns) => put(tag::DNS6, &name(dns)?),
        AddressPart::Tcp(port) => put(tag::TCP, &port.to_le_bytes()),
        AddressPart::Memory(port) => match u16::try_from(*port) {
            Ok(port) => put(tag::MEMORY, &port.to_le_bytes()),
            Err(_) => return Err(no_form(part)),
        },
        other => return Err(no_form(other)),
    }
    Ok(())
}

fn put_step(out: &mut Vec<u8>, step: &Fixed) -> Result<()> {
    match step {
        Fixed::NoiseIk(Some(key)) => {
            put_count(out, tag::NOISE_IK as usize);
            put_bytes(out, key);
        }
        Fixed::Handshake(version) => {
            put_count(out, tag::HANDSHAKE as usize);
            out.push(*version);
        }
        other => return Err(no_form(other)),
    }
    Ok(())
}

fn no_form(part: &dyn std::fmt::Display) -> Error {
    invalid(format!("the part {part} has no form in a network address"))
}

fn invalid(why: String) -> Error {
    Error::new(Kind::AddressInvalid, why)
}

/// Reads an address, length included. Fails with `PeerMisbehaved` where it is malformed, empty, has unknown protocols,
/// names anything twice that may be named once, or is followed by other bytes.
pub fn decode(bytes: &[u8]) -> Result<Multiaddr> {
    let mut outer = Reader::new(bytes);
    let mut reader = Reader::new(outer.bytes(MAX_BYTES)?);
    outer.finish()?;
    let mut address = Multiaddr::empty();
    let mut steps = Vec::new();
    let count = reader.count(MAX_PROTOCOLS)?;
    for _ in 0..count {
        let part = match reader.count(u32::MAX)? {
            tag::IP4 => AddressPart::Ip4(reader.array()?.into()),
            tag::IP6 => AddressPart::Ip6(reader.array()?.into()),
            tag::DNS => AddressPart::Dns(name(&mut reader)?.into()),
            tag::DNS4 => AddressPart::Dns4(name(&mut reader)?.into()),
            tag::DNS6 => AddressPart::Dns6(name(&mut reader)?.into()),
            tag::TCP => AddressPart::Tcp(reader.u16()?),
            tag::MEMORY => AddressPart::Memory(reader.u16()?.into()),
            tag::NOISE_IK => {
                let key: [u8; KEY] = reader.bytes(KEY as u32)?.try_into().map_err(|_| out_of_place("a short key"))?;
                if steps.iter().any(|step| matches!(step, Fixed::NoiseIk(_))) {
                    return Err(out_of_place("noise-ik"));
                }
                steps.push(Fixed::NoiseIk(Some(key)));
                continue;
            }
            tag::HANDSHAKE => {
                if steps.iter().any(|step| matches!(step, Fixed::Handshake(_))) {
                    return Err(out_of_place("handshake"));
                }
                steps.push(Fixed::Handshake(reader.u8()?));
                continue;
            }
            other => return Err(Error::misbehaved(format!("a network address with a protocol {other}"))),
        };
        if !steps.is_empty() {
            return Err(out_of_place("a part of the transport"));
        }
        address.push(part);
    }
    reader.finish()?;
    if address.is_empty() {
        return Err(Error::misbehaved("a network address of no transport"));
    }
    Ok(address.with_fixed(FixedPath::new(steps)))
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    let name = reader.string(MAX_NAME)?;
    check_name(name).map_err(|why| Error::misbehaved(format!("a name that {why}")))?;
    Ok(name)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name.len() {
        0 => Err("is empty"),
        length if length > MAX_NAME as usize => Err("is longer than 255 bytes"),
        _ if name.contains('/') => Err("has a slash in it"),
        _ => Ok(()),
    }
}

fn out_of_place(what: &str) -> Error {
    Error::misbehaved(format!("a network address with {what} out of place"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::address;

    use super::*;
    use crate::key_text::hex;

    #[test]
    fn addresses_have_the_published_bytes() {
        for (text, bytes) in [
            ("/ip4/10.0.0.16/tcp/80", "0902000a000010055000"),
            ("/ip6/2601::febc/tcp/6180", "1502012601000000000000000000000000febc052418"),
            ("/dns/example.com/tcp/6180", "1102020b6578616d706c652e636f6d052418"),
            ("/memory/1234", "040106d204"),
        ] {
            let (address, bytes) = (address::parse(text).unwrap(), hex(bytes));
            assert_eq!(encode(&address).unwrap(), bytes, "{text}");
            assert_eq!(decode(&bytes).unwrap(), address, "{text}");
        }
    }

    #[test]
    fn a_full_address_names_the_key_and_the_handshake() {
        let key = "0b".repeat(32);
        let address = address::parse(&format!("/dns4/a.b/tcp/6180/noise-ik/0x{key}/handshake/0")).unwrap();
        let bytes = encode(&address).unwrap();
        assert_eq!(bytes, hex(&format!("2d040303612e620524180720{key}0800")));
        assert_eq!(decode(&bytes).unwrap().to_string(), address.to_string());
    }

    #[test]
    fn what_has_no_form_is_named() {
        for (text, named) in [
            ("/ip4/1.2.3.4/udp/1/quic-v1", "/udp/1"),
            ("/memory/65536", "/memory/65536"),
            ("/memory/1/noise-ik", "/noise-ik"),
            ("/memory/1/muxer/yamux", "/muxer/yamux"),
        ] {
            let error = encode(&address::parse(text).unwrap()).unwrap_err();
            assert_eq!(error.kind(), &Kind::AddressInvalid);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        for wrong in [
            Multiaddr::empty(),
            (0..17).map(AddressPart::Tcp).collect(),
            (0..16).map(|_| AddressPart::Dns("a".repeat(255).into())).collect(),
        ] {
            assert_eq!(encode(&wrong).unwrap_err().kind(), &Kind::AddressInvalid);
        }
    }

    #[test]
    fn malformed_addresses_are_the_peers_fault() {
        let refused = |bytes: Vec<u8>| {
            let error = decode(&bytes).unwrap_err();
            assert!(error.violation().is_some(), "{bytes:?}: {error}");
        };
        let bytes = |text: &str| hex(text);
        // The list ends too early, or bytes follow it.
        refused(Vec::new());
        refused(bytes("0401060000ff"));
        refused(bytes("0506"));
        let key = "0720".to_owned() + &"07".repeat(32);
        for list in [
            // Nothing, no transport, trailing bytes, an unknown protocol, a list that is cut.
            "",
            "00",
            "010800",
            "010600ff00",
            "0109",
            "02060000",
            // Names: empty, not UTF-8, with a slash.
            "010200",
            "010201ff",
            "0102022f61",
            // A short key, one key too many, one handshake too many, a port behind the key.
            &format!("0206d204071f{}", "07".repeat(31)),
            &format!("0306d204{key}{key}"),
            "0306d20408000800",
            &format!("0206d204{key}05d204"),
        ] {
            let list = bytes(list);
            refused([&[list.len() as u8], list.as_slice()].concat());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_form(mut bytes: Vec<u8>) {
            bytes.truncate(127);
            let bytes = [&[bytes.len() as u8], bytes.as_slice()].concat();
            if let Ok(address) = decode(&bytes) {
                prop_assert_eq!(encode(&address).unwrap(), bytes);
            }
        }

        #[test]
        fn what_is_written_is_read(
            ip: [u8; 16], port: u16, name in "[a-z.]{1,80}", key: [u8; 32], version: u8, which in 0..4u8, fixed: bool,
        ) {
            let first = match which {
                0 => AddressPart::Ip6(ip.into()),
                1 => AddressPart::Dns(name.into()),
                2 => AddressPart::Dns6(name.into()),
                _ => AddressPart::Memory(port.into()),
            };
            let steps = if fixed { vec![Fixed::NoiseIk(Some(key)), Fixed::Handshake(version)] } else { Vec::new() };
            let address = Multiaddr::empty().with(first).with(AddressPart::Tcp(port)).with_fixed(FixedPath::new(steps));
            prop_assert_eq!(decode(&encode(&address).unwrap()).unwrap(), address);
        }
    }
}
