//! Drops files into a folder of another node, checked by their blake3 hash.
//!
//! `file_drop receive FOLDER` prints an address; `file_drop send ADDRESS FILE` sends a file there.

use std::path::PathBuf;

use stackwire_bundle as _; // links the plug-ins that the config names
use stackwire_node::{Builder, Catalogue, Error, Host, Node, Protocol, ProtocolId, Result, Stream, Violation, address};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONFIG: &str = r#"
node = { listen = ["/ip4/127.0.0.1/tcp/0"] }
transport = [{ use = "tcp" }]
security = [{ use = "tls" }, { use = "noise" }]
muxer = [{ use = "yamux" }]
"#;
/// The sender writes the file's hash and its bytes; the receiver answers 1 once it has them.
const ID: ProtocolId = ProtocolId::new("/example/file-drop/1.0.0");

struct FileDrop(PathBuf);

#[async_trait::async_trait]
impl Protocol for FileDrop {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ID]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let mut hash = [0; 32];
        stream.read_exact(&mut hash).await?;
        // The name is the hash, never one that the sender chose.
        let name = self.0.join(blake3::Hash::from(hash).to_hex().as_str());
        let mut file = tokio::fs::File::create(&name).await?;
        let (mut hasher, mut chunk) = (blake3::Hasher::new(), vec![0; 1 << 16]);
        loop {
            let n = stream.read(&mut chunk).await?;
            if n == 0 {
                break;
            }
            hasher.update(&chunk[..n]);
            file.write_all(&chunk[..n]).await?;
        }
        file.flush().await?;
        if hasher.finalize() != hash {
            tokio::fs::remove_file(&name).await?;
            return Err(Error::violated(Violation::BadProof, "the bytes do not have the hash that was announced"));
        }
        println!("received {}", name.display());
        stream.write_u8(1).await?;
        Ok(stream.shutdown().await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["receive", folder] => {
            let catalogue = Catalogue::linked()?;
            let node = Builder::from_config(CONFIG, &catalogue)?.protocol(FileDrop(folder.into())).start().await?;
            println!("{}", node.addresses()[0]);
            tokio::signal::ctrl_c().await?;
            node.shutdown().await;
        }
        ["send", to, file] => {
            let bytes = tokio::fs::read(file).await?;
            let node = Node::from_config(CONFIG, &Catalogue::linked()?).await?;
            let peer = node.connect(&address::parse(to)?).await?.peer;
            let mut stream = node.open_stream(peer, &[ID]).await?;
            stream.write_all(blake3::hash(&bytes).as_bytes()).await?;
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            stream.read_u8().await?;
            println!("sent {file}");
        }
        _ => eprintln!("usage: file_drop receive FOLDER | file_drop send ADDRESS FILE"),
    }
    Ok(())
}
