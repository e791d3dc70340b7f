//! Peer ids as text and as bytes.

mod vectors;

use stackwire_core::{
    Kind, PeerId,
    identity::{parse_peer_id, peer_id_to_cid},
};
use vectors::hex;

#[test]
fn both_text_forms_are_taken_and_base58_is_shown() {
    for (text, shown) in [
        (
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        ),
        ("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"),
        (
            "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        ),
        (
            "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
            "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
        ),
        (
            "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6",
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
        ),
        // Base 36, as in names of subdomains.
        (
            "k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs",
            "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
        ),
        ("k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7", "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"),
    ] {
        let peer = parse_peer_id(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(peer.to_string(), shown);
        assert_eq!(parse_peer_id(&peer_id_to_cid(&peer)).unwrap(), peer);
    }
}

#[test]
fn what_is_no_peer_id_is_refused() {
    for text in [
        "",
        "1",
        "Qm",
        "12D3KooW",
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
        // A CID of another codec (raw), one of codec libp2p-key that is no multihash of a peer id, and no CID at all.
        "bafkreifoybygix7fh3r3g5rqle3wcnhqldgdg4shzf4k3ulyw3gn7mabt4",
        "k2jmtxwoe2phm1hbqp0e7nufqf6umvuu2e9qd7ana7h411a0haqj6i2z",
        "k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl-",
        "?unknownmultibase",
        "bafz",
        "peer",
        "ä",
    ] {
        let error = parse_peer_id(text).expect_err(text);
        assert_eq!(error.kind(), &Kind::AddressInvalid, "{text}");
    }
}

#[test]
fn an_inlined_key_is_a_peer_id_in_bytes() {
    let bytes = hex("002408011220e7370c66efec8000d587fc4165928ee0755f9486cb5cf0f780d8e06c98ce7da9");
    let peer = PeerId::from_bytes(&bytes).unwrap();
    assert_eq!(peer.to_string(), "12D3KooWRNw2pJC9748Fmq4WNV27HoSTcX3r37132FLkQMrbKAiC");
    assert_eq!(peer.to_bytes(), bytes);
}
