use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::future::poll_fn;
use parking_lot::Mutex;
use stackwire_core::{Datagrams, Error, Kind, Result};

use super::*;

/// Datagrams that come back to whoever sent them.
#[derive(Default)]
struct Loopback(Mutex<(VecDeque<Bytes>, Option<Waker>, bool)>);

impl Loopback {
    fn close(&self) {
        let mut state = self.0.lock();
        state.2 = true;
        if let Some(receiver) = state.1.take() {
            receiver.wake();
        }
    }
}

impl Datagrams for Loopback {
    fn max_size(&self) -> usize {
        1000
    }
    fn send(&self, data: Bytes) -> Result<()> {
        let mut state = self.0.lock();
        state.0.push_back(data);
        if let Some(receiver) = state.1.take() {
            receiver.wake();
        }
        Ok(())
    }
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut state = self.0.lock();
        if let Some(datagram) = state.0.pop_front() {
            return Poll::Ready(Ok(datagram));
        }
        if state.2 {
            return Poll::Ready(Err(Error::closed("receiving")));
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Sends `count` datagrams, one a millisecond, and gives what arrived and when.
async fn exchange(count: u32, faults: Faults) -> Vec<(u32, Duration)> {
    let below = Arc::new(Loopback::default());
    let datagrams = faulty_datagrams(below.clone(), faults, &env());
    assert_eq!(datagrams.max_size(), 1000);
    let begin = Instant::now();
    let sender = datagrams.clone();
    let sending = async move {
        for i in 0..count {
            sender.send(Bytes::copy_from_slice(&i.to_be_bytes())).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        below.close();
    };
    let receiving = async {
        let mut all = Vec::new();
        loop {
            match poll_fn(|cx| datagrams.poll_receive(cx)).await {
                Ok(bytes) => all.push((u32::from_be_bytes(bytes[..].try_into().unwrap()), begin.elapsed())),
                Err(error) => break assert_eq!(error.kind(), &Kind::Closed),
            }
        }
        all
    };
    tokio::join!(sending, receiving).1
}

fn numbers(arrived: &[(u32, Duration)]) -> Vec<u32> {
    arrived.iter().map(|(number, _)| *number).collect()
}

#[tokio::test(start_paused = true)]
async fn without_faults_all_arrive_in_order_at_once() {
    let arrived = exchange(100, Faults::default()).await;
    assert_eq!(numbers(&arrived), Vec::from_iter(0..100));
    assert!(arrived.iter().all(|(number, at)| at.as_millis() == u128::from(*number)));
}

#[tokio::test(start_paused = true)]
async fn delays_of_their_own_change_the_order_and_lose_nothing() {
    let faults = Faults { delay: millis(10..=50), seed: Some(3), ..Faults::default() };
    let arrived = exchange(200, faults.clone()).await;
    let mut sorted = numbers(&arrived);
    assert!(!sorted.is_sorted(), "nothing overtook anything");
    sorted.sort_unstable();
    assert_eq!(sorted, Vec::from_iter(0..200));
    for (number, at) in &arrived {
        let took = at.as_millis() - u128::from(*number);
        assert!((10..=51).contains(&took), "datagram {number} took {took} ms");
    }
    assert_eq!(arrived, exchange(200, faults).await, "a seed repeats itself");
}

#[tokio::test(start_paused = true)]
async fn loss_and_copies_happen_as_often_as_asked() {
    let arrived = numbers(&exchange(1000, Faults { datagram_loss_per_mille: 200, ..Faults::default() }).await);
    assert!((740..860).contains(&arrived.len()), "{} of 1000 arrived", arrived.len());
    let mut arrived = numbers(&exchange(1000, Faults { datagram_copies_per_mille: 200, ..Faults::default() }).await);
    assert!((1140..1260).contains(&arrived.len()), "{} for 1000 arrived", arrived.len());
    arrived.dedup();
    assert_eq!(arrived, Vec::from_iter(0..1000));
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_bounded() {
    let below = Arc::new(Loopback::default());
    let faults = Faults { delay: millis(10..=10), ..Faults::default() };
    let datagrams = faulty_datagrams(below.clone(), faults, &env());
    for i in 0..10_000u32 {
        datagrams.send(Bytes::copy_from_slice(&i.to_be_bytes())).unwrap();
    }
    below.close();
    let mut arrived = 0;
    while poll_fn(|cx| datagrams.poll_receive(cx)).await.is_ok() {
        arrived += 1;
    }
    assert_eq!(arrived, 256);
}

#[tokio::test(start_paused = true)]
async fn while_nothing_moves_they_are_lost() {
    let below: Arc<dyn Datagrams> = Arc::new(Loopback::default());
    let silent = Arc::new(AtomicBool::new(true));
    let datagrams = super::super::datagrams::wrap(below.clone(), &Faults::default(), silent.clone(), &env());
    datagrams.send(Bytes::from_static(b"lost on the way there")).unwrap();
    below.send(Bytes::from_static(b"lost on the way back")).unwrap();
    let mut receiving = std::pin::pin!(poll_fn(|cx| datagrams.poll_receive(cx)));
    assert!(futures::poll!(&mut receiving).is_pending());
    silent.store(false, std::sync::atomic::Ordering::Relaxed);
    datagrams.send(Bytes::from_static(b"there again")).unwrap();
    assert_eq!(receiving.await.unwrap(), "there again");
}
