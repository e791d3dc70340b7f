//! A machine that runs out of file descriptors: the listener waits, and goes on when there are some again.
//!
//! The limit is a process's, so the test runs itself again as a process of its own, with a small one.

#![cfg(unix)]

use std::{
    fs::File,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stackwire_conformance::in_time;
use stackwire_core::{Dial, Env, Keypair, Listen, Runtime, Transport};
use stackwire_transport_tcp::Tcp;
use tokio::sync::Notify;

const CHILD: &str = "STACKWIRE_TEST_WITH_FEW_DESCRIPTORS";

#[test]
fn a_listener_survives_running_out_of_descriptors() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(in_time("accepting after a shortage", run_out()));
    }
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact a_listener_survives_running_out_of_descriptors"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

async fn run_out() {
    let (identity, sleeper) = (Keypair::ed25519_from_seed([1; 32]), Sleeper::default());
    let env = Env::new(sleeper.clone());
    let tcp = Tcp::default();
    let any = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let mut listener = tcp.listen(Listen::new(&any, &identity, &env)).await.unwrap();
    let address = listener.addresses().remove(0);

    // All descriptors but one are taken; the dial takes that one, and accepting has none.
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    let dial = Dial::new(&address, &identity, &env);
    let _dialed = tcp.dial(dial).await.unwrap();
    let give_back = async {
        sleeper.asked.notified().await;
        drop(files);
        sleeper.over.notify_one();
    };
    let (incoming, ()) = tokio::join!(listener.accept(), give_back);
    incoming.unwrap().open.await.unwrap();
    assert_eq!(sleeper.sleeps.load(Ordering::Relaxed), 1, "it waited instead of trying on and on");
}

/// An environment whose sleeps end when the test says so.
#[derive(Clone, Default)]
struct Sleeper {
    asked: Arc<Notify>,
    over: Arc<Notify>,
    sleeps: Arc<AtomicUsize>,
}

impl Runtime for Sleeper {
    fn now(&self) -> Instant {
        unreachable!("a listener asks for no time")
    }
    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        self.sleeps.fetch_add(1, Ordering::Relaxed);
        self.asked.notify_one();
        let over = self.over.clone();
        Box::pin(async move { over.notified().await })
    }
    fn fill_random(&self, _: &mut [u8]) {}
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("a listener starts no task")
    }
}
