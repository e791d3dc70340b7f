//! `key new` and `key show`

use std::process::ExitCode;

use serde_json::json;
use stackwire_node::{Env, Keypair, TokioRuntime, create_key_file, identity::peer_id_to_cid, load_key_file};

use crate::{args::Key, output::Output};

pub fn run(args: Key, out: &Output) -> ExitCode {
    let (file, key) = match args {
        Key::New { file, key_type } => {
            let key = create_key_file(&file, key_type, &Env::new(TokioRuntime::new()));
            (file, key)
        }
        Key::Show { file } => {
            let key = load_key_file(&file);
            (file, key)
        }
    };
    let shown = key.map(|key: Keypair| {
        let (kind, peer) = (key.public().key_type(), key.peer_id());
        let cid = peer_id_to_cid(&peer);
        out.text(format!("file     {}\ntype     {kind}\npeer id  {peer}\ncid      {cid}", file.display()));
        json!({ "file": file, "type": kind, "peer": peer.to_string(), "cid": cid })
    });
    out.finish(shown.map_err(Into::into))
}
