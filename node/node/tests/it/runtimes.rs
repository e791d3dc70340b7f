//! Streams that are used on runtimes of their own, or on one that runs now and then.

use std::{pin::pin, task::Poll};

use futures::poll;
use stackwire_node::Stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
};

use super::{
    configure::{ANY_PORT, echo, open, stack, start},
    *,
};

/// Reads an answer, and for a while lets nobody else do so.
async fn read_eagerly(stream: &mut Stream) {
    let mut answer = [0; 8];
    for _ in 0..5000 {
        if let Poll::Ready(read) = poll!(pin!(stream.read(&mut answer))) {
            assert_eq!(read.unwrap(), 8);
            return;
        }
    }
    stream.read_exact(&mut answer).await.unwrap();
}

/// Opens streams both ways between a `client` and a `server` with those runtimes, and uses ours `elsewhere`, as a
/// program does that blocks on each of its operations.
fn use_streams(server_home: &Runtime, client_home: &Runtime, elsewhere: &Runtime) {
    let text = stack(ANY_PORT, &["noise"], &["yamux"]).replace("\"tcp\"", "\"tcp\"\nbusy_poll_us = 1000");
    let server = server_home.block_on(start(&text));
    let client = client_home.block_on(start(&text));
    let (mut ours, mut theirs) = client_home.block_on(async {
        client.connect(&address(&server)).await.unwrap();
        let ours = open(&client, &server).await;
        accepted(&server).await;
        (ours, open(&server, &client).await)
    });
    for _ in 0..300 {
        elsewhere.block_on(async {
            ours.write_all(b"question").await.unwrap();
            ours.flush().await.unwrap();
        });
        elsewhere.block_on(in_time("an answer", read_eagerly(&mut ours)));
        // Nobody drives the client but its own task.
        client_home.block_on(echo(&mut theirs, "and back"));
    }
    drop((ours, theirs));
    client_home.block_on(client.shutdown());
    server_home.block_on(server.shutdown());
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn streams_of_a_node_are_used_on_another_runtime() {
    use_streams(&threads(), &threads(), &one_thread());
    use_streams(&threads(), &threads(), &threads());
}

#[test]
fn a_node_lives_on_a_runtime_that_runs_now_and_then() {
    let now_and_then = one_thread();
    use_streams(&threads(), &now_and_then, &now_and_then);
}
