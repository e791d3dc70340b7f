//! uTP with the BitTorrent client `libtorrent`, which speaks nothing but uTP here: it answers our dial and dials us, and
//! a file of some megabytes flows to us and from us.
//!
//! `libtorrent` is a Python package. Where it can't be had (no Python, no pip, no network) the tests say so and pass.

use std::{
    env,
    ffi::OsStr,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use stackwire_conformance::env as test_env;
use stackwire_core::{BoxPipe, Dial, Keypair, Listen, Stage, Transport, address};
use stackwire_interop::in_time;
use stackwire_transport_utp::Utp;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::OnceCell,
};

/// The package, as pip is asked for it.
const PACKAGE: &str = "libtorrent>=2.0.11,<3";
/// How long installing it may take.
const INSTALLING: Duration = Duration::from_secs(120);
const BLOCK: usize = 16 * 1024;

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;

#[tokio::test]
async fn libtorrent_answers_our_dial_and_sends_us_a_file() {
    let Some(mut peer) = Libtorrent::start(&["seed"]).await else { return };
    let utp = Utp::default();
    let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), test_env());
    let address = format!("/ip4/127.0.0.1/udp/{}/utp", peer.port).parse().unwrap();
    let dial = utp.dial(Dial::new(&address, &identity, &env));
    let Stage::Raw(mut pipe) = in_time("a dial", dial).await.unwrap().stage else { panic!("uTP gives bytes") };

    pipe.write_all(&peer.handshake()).await.unwrap();
    pipe.flush().await.unwrap();
    peer.expect_handshake(&mut pipe).await;
    let file = in_time("the file", fetch(&mut pipe, &peer)).await;
    assert!(file == peer.file());
    in_time("closing", pipe.shutdown()).await.unwrap();
    in_time("the end of libtorrent", peer.end()).await;
}

#[tokio::test]
async fn libtorrent_dials_us_and_takes_a_file() {
    let utp = Utp::default();
    let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), test_env());
    let any = "/ip4/127.0.0.1/udp/0/utp".parse().unwrap();
    let mut listener = utp.listen(Listen::new(&any, &identity, &env)).await.unwrap();
    let (socket, ..) = address::split_socket(&listener.addresses()[0]).unwrap();
    let Some(mut peer) = Libtorrent::start(&["fetch", &socket.port().to_string()]).await else { return };
    let incoming = in_time("a connection", listener.accept()).await.unwrap();
    let Stage::Raw(mut pipe) = incoming.open.await.unwrap().stage else { panic!("uTP gives bytes") };

    peer.expect_handshake(&mut pipe).await;
    pipe.write_all(&peer.handshake()).await.unwrap();
    let file = peer.file();
    let served = tokio::spawn(serve(pipe, file, peer.piece));
    assert_eq!(in_time("the file", peer.lines.next_line()).await.unwrap().as_deref(), Some("whole"));
    in_time("the end of libtorrent", peer.end()).await;
    in_time("the end of the connection", served).await.unwrap();
}

/// Asks for the whole file, block by block, with some under way at any time.
async fn fetch(pipe: &mut BoxPipe, peer: &Libtorrent) -> Vec<u8> {
    let mut file = vec![0; peer.length];
    let mut wanted = (0..peer.length).step_by(BLOCK);
    let (mut missing, mut choked) = (peer.length.div_ceil(BLOCK), true);
    send(pipe, INTERESTED, &[]).await;
    while missing > 0 {
        let message = receive(pipe).await.expect("libtorrent sends on");
        let requests = match message.split_first() {
            Some((&UNCHOKE, _)) if std::mem::take(&mut choked) => 32,
            Some((&CHOKE, _)) => panic!("libtorrent chokes its only peer"),
            Some((&PIECE, block)) => {
                let (head, data) = block.split_at(8);
                let (index, begin) = (number(&head[..4]), number(&head[4..]));
                file[index * peer.piece + begin..][..data.len()].copy_from_slice(data);
                missing -= 1;
                1
            }
            _ => 0,
        };
        for at in wanted.by_ref().take(requests) {
            let (index, begin, len) = (at / peer.piece, at % peer.piece, BLOCK.min(peer.length - at));
            let request = [index, begin, len].map(|n| (n as u32).to_be_bytes()).concat();
            send(pipe, REQUEST, &request).await;
        }
    }
    file
}

/// Gives out the file until the peer has enough.
async fn serve(mut pipe: BoxPipe, file: Vec<u8>, piece: usize) {
    let pieces = file.len().div_ceil(piece);
    let bits: Vec<u8> = (0..pieces.div_ceil(8)).map(|i| !(0xff_u16 >> (pieces - i * 8).min(8)) as u8).collect();
    send(&mut pipe, BITFIELD, &bits).await;
    while let Some(message) = receive(&mut pipe).await {
        match message.split_first() {
            Some((&INTERESTED, _)) => send(&mut pipe, UNCHOKE, &[]).await,
            Some((&REQUEST, block)) => {
                let at = number(&block[..4]) * piece + number(&block[4..8]);
                let data = &file[at..at + number(&block[8..12])];
                send(&mut pipe, PIECE, &[&block[..8], data].concat()).await;
            }
            _ => {}
        }
    }
}

async fn send(pipe: &mut BoxPipe, kind: u8, body: &[u8]) {
    let message = [&(body.len() as u32 + 1).to_be_bytes()[..], &[kind], body].concat();
    // Who has all it wants may be gone already; then there is no more to receive either.
    if pipe.write_all(&message).await.is_ok() {
        let _ = pipe.flush().await;
    }
}

/// The next message, or nothing where the connection ends.
async fn receive(pipe: &mut BoxPipe) -> Option<Vec<u8>> {
    let len = pipe.read_u32().await.ok()?;
    assert!(len < 1 << 20, "a message of {len} bytes");
    let mut message = vec![0; len as usize];
    pipe.read_exact(&mut message).await.ok()?;
    Some(message)
}

fn number(bytes: &[u8]) -> usize {
    u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize
}

/// A running client, which ends with this.
struct Libtorrent {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
    info_hash: Vec<u8>,
    length: usize,
    piece: usize,
    _folder: TempDir,
}

impl Libtorrent {
    /// Starts it, or says why that is not possible here.
    async fn start(role: &[&str]) -> Option<Self> {
        static PACKAGES: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        let packages = PACKAGES.get_or_init(install).await.as_ref()?;
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/libtorrent_peer.py");
        let mut process = Command::new("python3")
            .arg(script)
            .arg(role[0])
            .arg(folder.path())
            .args(&role[1..])
            .env("PYTHONPATH", packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = in_time("libtorrent", lines.next_line()).await.unwrap().expect("libtorrent starts");
        let words: Vec<&str> = line.split_whitespace().collect();
        let hex = |at: usize| u8::from_str_radix(&words[1][at..at + 2], 16).unwrap();
        Some(Self {
            process,
            lines,
            port: words[0].parse().unwrap(),
            info_hash: (0..20).map(|i| hex(i * 2)).collect(),
            length: words[2].parse().unwrap(),
            piece: words[3].parse().unwrap(),
            _folder: folder,
        })
    }

    /// What it shares or fetches; its script makes the same.
    fn file(&self) -> Vec<u8> {
        (0..self.length as u32 / 4).flat_map(u32::to_be_bytes).collect()
    }

    fn handshake(&self) -> Vec<u8> {
        [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..], &self.info_hash, b"-SW0000-a stackwire!"].concat()
    }

    async fn expect_handshake(&self, pipe: &mut BoxPipe) {
        let mut theirs = [0; 68];
        in_time("a handshake", pipe.read_exact(&mut theirs)).await.unwrap();
        assert_eq!(&theirs[..20], b"\x13BitTorrent protocol");
        assert_eq!(&theirs[28..48], self.info_hash);
    }

    async fn end(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
    }
}

/// Where the package is, after installing it once for all runs on this machine.
async fn install() -> Option<PathBuf> {
    let folder = env::temp_dir().join("stackwire-interop-libtorrent");
    let check = |folder: PathBuf| async move {
        run(Duration::from_secs(60), &["-c", "import libtorrent"], folder.as_os_str()).await.map(|_| folder)
    };
    if let Ok(folder) = check(folder.clone()).await {
        return Some(folder);
    }
    let fresh = tempfile::tempdir_in(env::temp_dir()).unwrap();
    let target = fresh.path().join("packages");
    let target_text = target.to_string_lossy();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"];
    let arguments = [&pip[..], &["--retries=1", "--timeout=20", "--target", &target_text, PACKAGE]].concat();
    let installed = match run(INSTALLING, &arguments, OsStr::new("")).await {
        Ok(_) => check(target.clone()).await,
        Err(why) => Err(why),
    };
    if let Err(why) = installed {
        println!("skipped: {PACKAGE} can't be had here: {why}");
        return None;
    }
    // In one go, so that another run never sees half of it; one that was quicker has the same.
    let _ = std::fs::rename(&target, &folder);
    check(folder).await.ok()
}

/// Runs Python; says why where that fails.
async fn run(limit: Duration, arguments: &[&str], packages: &OsStr) -> Result<Output, String> {
    let mut command = Command::new("python3");
    command.args(arguments).env("PYTHONPATH", packages).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(limit, command.output()).await {
        Err(_) => Err(format!("not done after {limit:?}")),
        Ok(Err(error)) => Err(format!("python3: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(output),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_string()),
    }
}
