//! Every linked transport with every security protocol and muxer: see `tests/`.
