//! Happy eyeballs (RFC 8305): attempts start one after another, run side by side, and the first to succeed wins.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stackwire_core::Env;

/// Where the candidates of a race come from, while it runs.
pub(crate) trait Source {
    type Candidate;

    /// Waits for the next candidate. `None`: one that was on its way has come to nothing. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Next<Self::Candidate>>> + Send;

    /// Asked when nothing runs: whether no candidate is on its way. After `true` none comes any more.
    fn close(&mut self) -> bool;
}

/// A candidate and its place among those that wait.
pub(crate) enum Next<C> {
    /// In front of all: somebody has just named it.
    First(C),
    /// Behind all.
    Last(C),
}

/// Runs an `attempt` for each candidate. A new one starts when `delay` has passed since the last, or when one has
/// failed. `Ok` is the first success, and the others are dropped; `Err` lists the failures in the order they came.
pub(crate) async fn race<S: Source, T, E, F: Future<Output = Result<T, E>>>(
    env: &Env,
    delay: Duration,
    source: &mut S,
    attempt: impl Fn(S::Candidate) -> F,
) -> Result<T, Vec<E>> {
    let mut waiting = VecDeque::new();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    // Until it ends, no attempt starts.
    let mut pause: Option<BoxFuture<'static, ()>> = None;
    loop {
        if pause.is_none()
            && let Some(candidate) = waiting.pop_front()
        {
            running.push(attempt(candidate));
            pause = Some(env.sleep(delay));
        }
        if running.is_empty() && waiting.is_empty() && source.close() {
            return Err(failures);
        }
        tokio::select! {
            biased;
            Some(ended) = running.next() => match ended {
                Ok(value) => return Ok(value),
                Err(error) => {
                    failures.push(error);
                    pause = None;
                }
            },
            () = over(&mut pause), if pause.is_some() => pause = None,
            next = source.next() => match next {
                Some(Next::First(candidate)) => waiting.push_front(candidate),
                Some(Next::Last(candidate)) => waiting.push_back(candidate),
                None => {}
            },
        }
    }
}

async fn over(pause: &mut Option<BoxFuture<'static, ()>>) {
    if let Some(pause) = pause {
        pause.await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::TokioRuntime;

    type Attempt = BoxFuture<'static, Result<u32, u32>>;

    fn after(millis: u64, result: Result<u32, u32>) -> Attempt {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            result
        })
    }

    /// Attempts that become known after so many milliseconds each; `true`: in front of the others.
    struct Known(VecDeque<(Instant, bool, Attempt)>);

    impl Source for Known {
        type Candidate = Attempt;

        async fn next(&mut self) -> Option<Next<Attempt>> {
            let Some((at, ..)) = self.0.front() else { return std::future::pending().await };
            tokio::time::sleep_until(*at).await;
            let (_, first, attempt) = self.0.pop_front().expect("only we take it");
            Some(if first { Next::First(attempt) } else { Next::Last(attempt) })
        }

        fn close(&mut self) -> bool {
            self.0.is_empty()
        }
    }

    async fn run_known(known: Vec<(u64, bool, Attempt)>) -> (Result<u32, Vec<u32>>, Duration) {
        let env = Env::new(TokioRuntime::new());
        let begin = env.now();
        let start = Instant::now();
        let known = known.into_iter().map(|(at, first, attempt)| (start + Duration::from_millis(at), first, attempt));
        let result = race(&env, Duration::from_millis(250), &mut Known(known.collect()), |attempt| attempt).await;
        (result, env.now() - begin)
    }

    async fn run(attempts: Vec<Attempt>) -> (Result<u32, Vec<u32>>, Duration) {
        run_known(attempts.into_iter().map(|attempt| (0, false, attempt)).collect()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_address_costs_one_delay() {
        let (result, took) = run(vec![Box::pin(std::future::pending()), after(10, Ok(2))]).await;
        assert_eq!((result, took), (Ok(2), Duration::from_millis(260)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let (result, took) = run(vec![after(5, Err(1)), after(10, Ok(2))]).await;
        assert_eq!((result, took), (Ok(2), Duration::from_millis(15)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_failure_is_reported() {
        let (result, _) = run(vec![after(5, Err(1)), after(500, Err(2)), after(1, Err(3))]).await;
        assert_eq!(result, Err(vec![1, 3, 2]));
        assert_eq!(run(vec![]).await.0, Err(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_later_joins_the_race() {
        let hanging = || Box::pin(std::future::pending()) as Attempt;
        // Past the delay it starts at once, within it when the delay ends.
        let (result, took) = run_known(vec![(0, false, hanging()), (1000, false, after(10, Ok(2)))]).await;
        assert_eq!((result, took), (Ok(2), Duration::from_millis(1010)));
        let (result, took) = run_known(vec![(0, false, hanging()), (100, false, after(10, Ok(2)))]).await;
        assert_eq!((result, took), (Ok(2), Duration::from_millis(260)));
        // One that is named now does not queue behind those that are only known.
        let mut known: Vec<_> = (0..10).map(|_| (0, false, hanging())).collect();
        known.push((10, true, after(10, Ok(3))));
        let (result, took) = run_known(known).await;
        assert_eq!((result, took), (Ok(3), Duration::from_millis(260)));
        // After all have failed the race waits for those that are on their way.
        let (result, took) = run_known(vec![(0, false, after(5, Err(1))), (700, false, after(10, Ok(2)))]).await;
        assert_eq!((result, took), (Ok(2), Duration::from_millis(710)));
    }
}
