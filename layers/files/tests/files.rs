//! What is read, what is refused, and that a new file is whole.

use std::{fs, io, path::Path, sync::Barrier};

use stackwire_conformance::env;
use stackwire_files::{create_secret, read, read_secret, read_text};

type Reader = fn(&Path, u64) -> io::Result<()>;
const READERS: [Reader; 3] = [
    |path, max| read(path, max).map(drop),
    |path, max| read_text(path, max).map(drop),
    |path, max| read_secret(path, max).map(drop),
];

fn told(reader: Reader, path: &Path) -> String {
    reader(path, 100).expect_err("it is no file to read").to_string()
}

#[test]
fn what_is_no_file_is_told_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for reader in READERS {
        assert!(told(reader, folder.path()).contains("a folder"), "{}", told(reader, folder.path()));
        let missing = reader(&folder.path().join("missing"), 100).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = folder.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for reader in READERS {
            for (path, what) in [(&pipe, "a named pipe"), (&socket, "a socket"), (&link, "a device")] {
                assert!(told(reader, path).contains(what), "{}", told(reader, path));
            }
        }
    }
}

#[test]
fn length_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for length in [0_usize, 1, 99, 100, 101, 5000] {
        let path = folder.path().join(length.to_string());
        create_secret(&path, &vec![b'x'; length], &env()).unwrap();
        for reader in READERS {
            let result = reader(&path, 100);
            assert_eq!(result.is_ok(), length <= 100, "{length}: {result:?}");
            if let Err(error) = result {
                assert!(error.to_string().contains("more than 100 bytes"), "{error}");
            }
        }
    }
}

#[test]
fn text_says_which_line_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, b"one\ntwo\n\xff\n").unwrap();
    let error = read_text(&path, 100).unwrap_err().to_string();
    assert!(error.contains("line 3 is not UTF-8"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_refused_with_the_command() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    create_secret(&path, b"secret", &env()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(*read_secret(&path, 100).unwrap(), b"secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = read_secret(&path, 100).unwrap_err().to_string();
    assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
    assert!(read(&path, 100).is_ok(), "what is no secret may be read by all");
}

#[test]
fn of_many_that_write_at_once_one_succeeds_and_all_read_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let path = folder.path().join(round.to_string());
        let start = Barrier::new(4);
        let made: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u8)
                .map(|number| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        let made = create_secret(path, &[number; 64], &env());
                        let read = read_secret(path, 64).expect("it is there, whoever made it");
                        assert!(read.len() == 64 && read.iter().all(|byte| *byte == read[0]), "{read:?}");
                        match made {
                            Ok(()) => 1,
                            Err(error) => {
                                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
                                0
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        assert_eq!(made, 1);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 50, "nothing is left beside them");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = create_secret(&folder.path().join("a/b/key"), b"secret", &env()).unwrap_err().to_string();
    assert!(error.contains("mkdir -p") && error.contains("a/b"), "{error}");
}

/// A disk that is full, as a tiny file system of its own is, where we may make one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    // A limit on the size of files that this process may write has the same effect as a full disk, and needs no rights.
    let script = "ulimit -f 0; trap '' XFSZ; exec \"$0\" --exact writes_one_file --nocapture";
    let me = std::env::current_exe().unwrap();
    let run = std::process::Command::new("sh")
        .args(["-c", script, me.to_str().unwrap()])
        .env("STACKWIRE_TEST_FILE", &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(!run.status.success(), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
}

/// What `a_full_disk_leaves_nothing` runs in a process where no file can grow; by itself it does nothing.
#[cfg(target_os = "linux")]
#[test]
fn writes_one_file() {
    if let Some(path) = std::env::var_os("STACKWIRE_TEST_FILE") {
        create_secret(Path::new(&path), b"secret", &env()).unwrap();
    }
}
