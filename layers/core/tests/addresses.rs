//! Addresses as text and as bytes, as other implementations write them.
//!
//! Sources: multiaddr `test/multiaddr.feature`; go-multiaddr `multiaddr_test.go`.

mod vectors;

use stackwire_core::{Kind, Multiaddr, Violation, address};
use vectors::hex;

const PEER: &str = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC";

/// Address text that means itself.
const GOOD: &[&str] = &[
    "/ip4/1.2.3.4",
    "/ip4/0.0.0.0",
    "/ip4/192.0.2.0/ipcidr/24",
    "/ip6/::1",
    "/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21",
    "/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/udp/1234/quic",
    "/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/udp/1234/quic-v1",
    "/ip6/2001:db8::/ipcidr/32",
    "/ip6/::ffff:127.0.0.1/tcp/111",
    "/ip6zone/x/ip6/fe80::1",
    "/ip6zone/x%y/ip6/fe80::1",
    "/ip6zone/x%y/ip6/::",
    "/ip6zone/x/ip6/fe80::1/udp/1234/quic-v1",
    "/onion/timaq4ygg2iegci7:1234",
    "/onion/timaq4ygg2iegci7:80/http",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:80/http",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuqzwas",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq/tcp/8080",
    "/udp/0",
    "/tcp/0",
    "/sctp/0",
    "/udp/65535",
    "/tcp/65535",
    "/sctp/1234",
    "/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
    "/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
    "/udp/1234/sctp/1234",
    "/udp/1234/udt",
    "/udp/1234/utp",
    "/tcp/1234/http",
    "/tcp/1234/tls/http",
    "/tcp/1234/https",
    "/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC/tcp/1234",
    "/ip4/127.0.0.1/udp/1234",
    "/ip4/127.0.0.1/udp/123/ip6/::",
    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport",
    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
    "/ip4/127.0.0.1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC/tcp/1234",
    "/unix/stdio",
    "/ip4/127.0.0.1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC/tcp/1234/unix/stdio",
    "/ip4/127.0.0.1/tcp/9090/http/p2p-webrtc-direct",
    "/ip4/127.0.0.1/tcp/127/ws",
    "/ip4/127.0.0.1/tcp/127/tls",
    "/ip4/127.0.0.1/tcp/127/tls/ws",
    "/ip4/127.0.0.1/tcp/127/noise",
    "/ip4/127.0.0.1/tcp/127/wss",
    "/ip4/127.0.0.1/tcp/127/webrtc-direct",
    "/ip4/127.0.0.1/tcp/127/webrtc",
    "/http-path/foo",
    "/http-path/tmp%2Fbar",
    "/ip4/127.0.0.1/tcp/443/tls/sni/example.com/http/http-path/foo",
    "/dns/example.com/tcp/443",
    "/dns4/example.com/tcp/443/wss",
    "/dns6/example.com/udp/1/quic-v1",
    "/dnsaddr/bootstrap.libp2p.io",
    "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV/p2p-circuit",
    "/memory/4",
];

/// Text that is no address.
const BAD: &[&str] = &[
    "",
    "/",
    "//",
    "ip4/1.2.3.4",
    "/ip4",
    "/ip4/",
    "/ip4/::1",
    "/ip4/fdpsofodsajfdoisa",
    "/ip4/::/ipcidr/256",
    "/ip4/1.2.3.4//tcp/1",
    "/ip6/::/ipcidr/1026",
    "/ip6",
    "/ip6zone",
    "/ip6zone/",
    "/ip6zone//ip6/fe80::1",
    "/udp",
    "/tcp",
    "/sctp",
    "/udp/65536",
    "/tcp/65536",
    "/quic/65536",
    "/quic-v1/65536",
    "/onion/9imaq4ygg2iegci7:80",
    "/onion/aaimaq4ygg2iegci7:80",
    "/onion/timaq4ygg2iegci7:0",
    "/onion/timaq4ygg2iegci7:-1",
    "/onion/timaq4ygg2iegci7",
    "/onion/timaq4ygg2iegci@:666",
    "/onion3/9ww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:80",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd7:80",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:0",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyy@:666",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu77",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu:80",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq:-1",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu@",
    "/garlic64/jT~IyXaoauTni6N4517EG8mrFUKpy0IlgZh",
    "/udp/1234/sctp",
    "/udp/1234/udt/1234",
    "/udp/1234/utp/1234",
    "/ip4/127.0.0.1/udp/jfodsajfidosajfoidsa",
    "/ip4/127.0.0.1/udp",
    "/ip4/127.0.0.1/tcp/jfodsajfidosajfoidsa",
    "/ip4/127.0.0.1/tcp",
    "/ip4/127.0.0.1/quic/1234",
    "/ip4/127.0.0.1/quic-v1/1234",
    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash",
    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp",
    "/ip4/127.0.0.1/ipfs",
    "/ip4/127.0.0.1/ipfs/tcp",
    "/ip4/127.0.0.1/p2p",
    "/ip4/127.0.0.1/p2p/tcp",
    "/unix",
    "/ip4/1.2.3.4/tcp/80/unix",
    "/ip4/1.2.3.4/tcp/-1",
    "/ip4/127.0.0.1/tcp/9090/http/p2p-webcrt-direct",
    "/memory/92233720368547758081",
    "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
    "/p2p/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl-",
    "/p2p/?unknownmultibase",
    "/p2p/k2jmtxwoe2phm1hbqp0e7nufqf6umvuu2e9qd7ana7h411a0haqj6i2z",
    "/p2p/bafkreifoybygix7fh3r3g5rqle3wcnhqldgdg4shzf4k3ulyw3gn7mabt4",
    "/dns4//tcp/1",
    "/dnsaddr/",
];

/// Text and bytes of the same address.
const BYTES: &[(&str, &str)] = &[
    ("/ip4/127.0.0.1/udp/1234", "047f000001910204d2"),
    ("/ip4/127.0.0.1/tcp/4321", "047f0000010610e1"),
    ("/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"),
    ("/ip4/192.0.2.42/tcp/443", "04c000022a0601bb"),
    ("/onion/aaimaq4ygg2iegci:80", "bc030010c0439831b48218480050"),
    (
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
        "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2",
    ),
    (
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
        "bf0320efbcd45d0c5dc79781ac6f20ea5055a036afb48d45a52e7d68ec7d4338919e69",
    ),
    ("/ip6zone/eth0/ip6/::1", "2a04657468302900000000000000000000000000000001"),
];

#[test]
fn good_addresses_survive_text_and_bytes() {
    for text in GOOD {
        let address = address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), *text);
        assert_eq!(address::from_wire(&address.to_vec()).unwrap(), address, "{text}");
    }
}

#[test]
fn bad_addresses_are_refused_with_words() {
    let taken: Vec<_> = BAD.iter().filter(|text| address::parse(text).is_ok()).collect();
    assert!(taken.is_empty(), "taken: {taken:#?}");
    for text in BAD {
        assert_eq!(address::parse(text).unwrap_err().kind(), &Kind::AddressInvalid);
    }
    let words = address::parse("/ip4/1.2.3").unwrap_err().to_string();
    assert!(
        words.starts_with("“/ip4/1.2.3” is not a multiaddr such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"),
        "{words}"
    );
}

#[test]
fn text_and_bytes_belong_together() {
    for (text, bytes) in BYTES {
        let address = address::parse(text).unwrap();
        assert_eq!(address.to_vec(), hex(bytes), "{text}");
        assert_eq!(address::from_wire(&hex(bytes)).unwrap().to_string(), *text);
    }
}

#[test]
fn other_spellings_mean_the_same() {
    for (text, meant) in [
        (format!("/ipfs/{PEER}"), format!("/p2p/{PEER}")),
        ("/p2p/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7".into(), format!("/p2p/{PEER}")),
        (
            "/ip4/127.0.0.1/ipfs/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7/tcp/1234".into(),
            format!("/ip4/127.0.0.1/p2p/{PEER}/tcp/1234"),
        ),
        (
            "/p2p/bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u".into(),
            "/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV".into(),
        ),
        ("/ip4/127.0.0.1/tcp/1234/".into(), "/ip4/127.0.0.1/tcp/1234".into()),
    ] {
        let address = address::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), meant);
    }
}

#[test]
fn bad_bytes_are_the_sender_s_fault() {
    for (what, bytes) in [
        ("nothing", ""),
        (
            "a peer id whose SHA-256 is 33 bytes",
            "a503221221c05877cbae039d70a5e600ea02c6f9f2942439285c9e344e26f8d280c850fad6",
        ),
        ("a code that nobody knows", "ffffffff07"),
        ("an IP that ends early", "047f0000"),
        ("a byte too many", "047f0000010610e100ff"),
        ("a name with a length past the end", "36ff01"),
        ("an empty name", "3600"),
        ("a name that is not UTF-8", "3601ff"),
        ("a name with a slash in it, which is text for two parts", "3606612f7463702f"),
        ("a code that is not minimal", "84007f000001"),
    ] {
        let error = address::from_wire(&hex(bytes)).expect_err(what);
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed), "{what}");
    }
}

#[test]
fn peers_and_sockets_are_split_off() {
    let peer = PEER.parse().unwrap();
    let socket: Multiaddr = "/ip4/1.2.3.4/tcp/5".parse().unwrap();
    let full = address::with_peer(&socket, peer);
    assert_eq!(full.to_string(), format!("/ip4/1.2.3.4/tcp/5/p2p/{PEER}"));
    assert_eq!(address::with_peer(&full, peer), full, "once");
    assert_eq!(address::split_peer(&full), (socket.clone(), Some(peer)));
    assert_eq!(address::split_peer(&socket), (socket.clone(), None));
    let (at, transport, rest) = address::split_socket(&full).unwrap();
    assert_eq!((at, transport, rest.len()), ("1.2.3.4:5".parse().unwrap(), address::Transport::Tcp, 1));
    assert_eq!(address::tcp(at), socket);
    assert!(address::split_socket(&"/dns/a/tcp/1".parse().unwrap()).is_none());
    assert!(address::split_socket(&"/tcp/1".parse().unwrap()).is_none());
}

#[test]
fn a_path_with_escaped_slashes_is_refused_with_the_one_that_was_meant() {
    for (written, meant) in
        [("/unix/tmp%2Fa%2Fs.sock", "write /unix/tmp/a/s.sock"), ("/unix/%2ftmp%2fs.sock", "write /unix/tmp/s.sock")]
    {
        let error = address::parse(written).expect_err("it is refused").to_string();
        assert!(error.ends_with(meant), "{error}");
    }
    assert!(address::parse("/unix/tmp/100%/s.sock").is_ok(), "other names may have a % in them");
}
