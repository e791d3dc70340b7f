//! What becomes of output that nobody reads, that can't be written, or that a stranger had a part in.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Guard, LIMIT, collect, finish_command, stackwire, text};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("/dev/full is there").into()
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cant_be_written_is_an_error_that_is_said_once() {
    for args in [&["plugins"][..], &["plugins", "--json"], &["--help"], &["plugins", "show", "tcp"], &["config"]] {
        let mut command = stackwire(args);
        command.stdout(full());
        let done = collect(Guard::spawn(command));
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        assert_eq!(done.stderr.matches("the output can't be written").count(), 1, "{args:?}: {done:?}");
    }
}

/// A config whose node has made its key when it runs.
fn config(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (file, key) = (folder.join("node.toml"), folder.join("node.key"));
    let lines = format!(
        "[node]\nidentity = {key:?}\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[[transport]]\nuse = \"tcp\"\n\
         [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n"
    );
    std::fs::write(&file, lines).expect("the config is written");
    (file, key)
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < LIMIT, "{} does not appear", path.display());
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_whose_output_cant_be_written_says_so_once_runs_on_and_ends_with_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, key) = config(folder.path());
    let mut command = stackwire(&["run", "--json", "--config", text(&file)]);
    command.stdout(full());
    let child = Guard::spawn(command);
    wait_for(&key);
    // Each makes an event.
    for _ in 0..3 {
        child.signal("-HUP");
        thread::sleep(Duration::from_millis(300));
    }
    child.interrupt();
    let done = collect(child);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.stderr.matches("the output can't be written").count(), 1, "{done:?}");
}

/// A pipe that is full, and its end that nobody reads.
fn held() -> (OwnedFd, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("it can");
    loop {
        match ours.write(&[b'\n'; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    ours.set_nonblocking(false).expect("it can");
    (ours.into(), theirs)
}

#[test]
fn signals_are_heard_while_nobody_reads_the_output() {
    for (signal, held_errors) in [("-INT", false), ("-TERM", false), ("-TERM", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, key) = config(folder.path());
        let mut command = stackwire(&["run", "--config", text(&file), "--log", "trace"]);
        let (full, _kept) = held();
        command.stdout(full);
        let (full, _kept_too) = held();
        if held_errors {
            command.stderr(full);
        } else {
            command.stderr(Stdio::null());
        }
        let mut child = Guard::spawn(command);
        wait_for(&key);
        child.signal(signal);
        // What it had to say is lost, which is no success.
        assert_eq!(child.wait().code(), Some(1), "{signal}");
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, key) = config(folder.path());
        // A peer that is connected and keeps a stream open makes the end take its time.
        let node = crate::support::Node::start(&[], 2);
        let mut command = stackwire(&["ping", &node.addresses[0], "--count", "4000000", "--config", text(&file)]);
        let (full, _kept) = held();
        command.stdout(full);
        let mut child = Guard::spawn(command);
        wait_for(&key);
        node.until("connected");
        child.signal(signal);
        // The last words get a second in which nothing moves.
        thread::sleep(Duration::from_millis(100));
        child.signal(signal);
        assert_eq!(child.wait().code(), Some(code), "{signal}");
    }
}

#[test]
fn a_config_that_became_something_else_is_told_and_the_node_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = config(folder.path());
    let node = crate::support::Node::start(&["--config", text(&file)], 1);
    std::fs::remove_file(&file).expect("it goes");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo runs").success());
    node.hang_up();
    let message = node.until("not_reloaded")["error"]["message"].to_string();
    assert!(message.contains("regular file") && message.contains(text(&file)), "{message}");
    node.interrupt();
    assert_eq!(node.end().1, Some(0));
}

#[test]
fn what_is_no_file_or_too_long_is_refused_where_a_config_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let long = folder.path().join("long");
    File::create(&long).and_then(|file| file.set_len(100 << 20)).expect("a long file");
    for (path, why) in [
        (fifo.as_path(), "regular file"),
        (folder.path(), "regular file"),
        (Path::new("/dev/zero"), "regular file"),
        (long.as_path(), "more than 4194304 bytes"),
    ] {
        for args in [&["check", text(&path)][..], &["run", "--config", text(&path)]] {
            let done = finish_command(stackwire(args));
            assert!(done.code == Some(1) && done.stderr.contains(why), "{args:?}: {done:?}");
            assert!(done.stderr.contains(text(&path)), "it is named: {done:?}");
        }
    }
}
