//! A protocol of one's own: one node says something, the other sends it back.

use stackwire_bundle as _; // links the plug-ins that the config names
use stackwire_node::{Builder, Catalogue, Host, Node, Protocol, ProtocolId, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONFIG: &str = r#"
node = { listen = ["/ip4/127.0.0.1/tcp/0"] }
transport = [{ use = "tcp" }]
security = [{ use = "noise" }]
muxer = [{ use = "yamux" }]
"#;
const ID: ProtocolId = ProtocolId::new("/example/echo/1.0.0");
struct Echo;

#[async_trait::async_trait]
impl Protocol for Echo {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ID]
    }
    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        let (mut read, mut write) = tokio::io::split(stream);
        tokio::io::copy(&mut read, &mut write).await?;
        Ok(write.shutdown().await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let server = Builder::from_config(CONFIG, &Catalogue::linked()?)?.protocol(Echo).start().await?;
    let client = Node::from_config(CONFIG, &Catalogue::linked()?).await?;
    println!("connected by {}", client.connect(&server.addresses()[0]).await?.path);
    let mut stream = client.open_stream(server.peer_id(), &[ID]).await?;
    stream.write_all(b"hello").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("the answer is {answer}");
    Ok(())
}
