//! A redis that knows `RPUSH`, `BLPOP` and `DEL`, and says OK to the rest.
//!
//! A request is an array of strings, `*<count>` and `$<length>` before each; answers are `:<number>`, `+<word>`, an
//! array, or `*-1` for nothing in time.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A server for the rest of the process.
pub struct Redis {
    port: u16,
}

#[derive(Default)]
struct Lists {
    lists: Mutex<HashMap<String, VecDeque<String>>>,
    pushed: Condvar,
}

impl Redis {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let lists = Arc::new(Lists::default());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let lists = lists.clone();
                // Ends with its client.
                thread::spawn(move || serve(client, &lists));
            }
        });
        Self { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn serve(client: TcpStream, lists: &Lists) -> io::Result<()> {
    let mut answers = client.try_clone()?;
    let mut requests = BufReader::new(client);
    while let Some(request) = read(&mut requests)? {
        let parts: Vec<&str> = request.iter().map(String::as_str).collect();
        let answer = match parts[..] {
            ["RPUSH", key, value] => format!(":{}\r\n", lists.push(key, value)),
            ["DEL", key] => format!(":{}\r\n", u8::from(lists.lists.lock().unwrap().remove(key).is_some())),
            ["BLPOP", key, seconds] => match lists.pop(key, seconds.parse().expect("whole seconds")) {
                Some(value) => format!("*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len()),
                None => "*-1\r\n".to_string(),
            },
            _ => "+OK\r\n".to_string(),
        };
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The next request; `None` at the end.
fn read(requests: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let Some(count) = number(requests, '*')? else { return Ok(None) };
    let mut parts = Vec::new();
    for _ in 0..count {
        let Some(length) = number(requests, '$')? else { return Ok(None) };
        let mut part = vec![0; length + 2];
        requests.read_exact(&mut part)?;
        part.truncate(length);
        parts.push(String::from_utf8(part).expect("requests of this contract are text"));
    }
    Ok(Some(parts))
}

fn number(requests: &mut impl BufRead, mark: char) -> io::Result<Option<usize>> {
    let mut line = String::new();
    if requests.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let digits = line.strip_prefix(mark).unwrap_or_else(|| panic!("{mark} expected: {line}"));
    Ok(Some(digits.trim_end().parse().expect("a number")))
}

impl Lists {
    fn push(&self, key: &str, value: &str) -> usize {
        let mut lists = self.lists.lock().unwrap();
        let list = lists.entry(key.to_string()).or_default();
        list.push_back(value.to_string());
        self.pushed.notify_all();
        list.len()
    }

    fn pop(&self, key: &str, seconds: u64) -> Option<String> {
        // 0 waits for ever; a day is no shorter to a test.
        let end = Instant::now() + Duration::from_secs(if seconds == 0 { 86_400 } else { seconds });
        let mut lists = self.lists.lock().unwrap();
        loop {
            if let Some(value) = lists.get_mut(key).and_then(VecDeque::pop_front) {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now())?;
            lists = self.pushed.wait_timeout(lists, left).unwrap().0;
        }
    }
}
