//! Happy eyeballs (RFC 8305): attempts start one after another, run side by side, and the first to succeed wins.

use std::time::Duration;

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use stackwire_core::Env;

/// Runs the attempts that `next` makes. A new one starts when `delay` has passed without a result, or when one has
/// failed. `Ok` is the first success, and the others are dropped; `Err` lists the failures in the order they came.
pub(crate) async fn race<T, E, F: Future<Output = Result<T, E>>>(
    env: &Env,
    delay: Duration,
    mut next: impl FnMut() -> Option<F>,
) -> Result<T, Vec<E>> {
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        let started = next();
        let more = started.is_some();
        running.extend(started);
        if running.is_empty() {
            return Err(failures);
        }
        let timer = if more { Either::Left(env.sleep(delay)) } else { Either::Right(std::future::pending()) };
        match select(running.next(), timer).await {
            Either::Left((Some(Ok(value)), _)) => return Ok(value),
            Either::Left((Some(Err(error)), _)) => failures.push(error),
            Either::Left((None, _)) | Either::Right(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::TokioRuntime;

    type Attempt = BoxFuture<'static, Result<u32, u32>>;

    fn after(millis: u64, result: Result<u32, u32>) -> Attempt {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            result
        })
    }

    async fn run(attempts: Vec<Attempt>) -> (Result<u32, Vec<u32>>, Duration) {
        let env = Env::new(TokioRuntime);
        let begin = env.now();
        let mut attempts = attempts.into_iter();
        let result = race(&env, Duration::from_millis(250), || attempts.next()).await;
        (result, env.now() - begin)
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
}
