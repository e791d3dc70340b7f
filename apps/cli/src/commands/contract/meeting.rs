//! The redis at which the two sides meet: a list, appended to by the listener and taken from by the dialer.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection, cmd};
use stackwire_node::{Error, Kind, Result};

use super::variables::Variables;

/// Between two attempts to reach a redis that is not up yet: the suites start it beside us.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection to the redis.
pub(super) struct Meeting<'a> {
    redis: MultiplexedConnection,
    variables: &'a Variables,
}

impl<'a> Meeting<'a> {
    /// Connects, again and again until it succeeds: the time limit is the caller's.
    pub(super) async fn connect(variables: &'a Variables) -> Result<Self> {
        let (host, port) = &variables.redis;
        let failed = |e| failed(format!("reaching the redis at {host}:{port}"), e);
        let client = Client::open((host.as_str(), *port)).map_err(failed)?;
        // Waiting for the listener takes as long as it takes.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut told = false;
        loop {
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(redis) => return Ok(Self { redis, variables }),
                Err(error) if error.is_io_error() || error.is_timeout() => {
                    if !std::mem::replace(&mut told, true) {
                        super::log(format_args!("waiting for the redis at {host}:{port}: {error}"));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Appends the listener's address, where the dialer of this test looks for it.
    pub(super) async fn publish(&mut self, address: &str) -> Result<()> {
        let key = &self.variables.key;
        let failed = |e| failed(format!("publishing the address as {key}"), e);
        // What an earlier test left there, in whichever form.
        let _: i64 = cmd("DEL").arg(key).query_async(&mut self.redis).await.map_err(failed)?;
        let _: i64 = cmd("RPUSH").arg(key).arg(address).query_async(&mut self.redis).await.map_err(failed)?;
        Ok(())
    }

    /// Waits for the listener's address, however long: the time limit is the caller's.
    pub(super) async fn find(&mut self) -> Result<String> {
        let key = &self.variables.key;
        let found: (String, String) = cmd("BLPOP")
            .arg(key)
            .arg(0)
            .query_async(&mut self.redis)
            .await
            .map_err(|e| failed(format!("waiting for the listener's address as {key}"), e))?;
        Ok(found.1.trim().to_string())
    }
}

fn failed(during: String, error: RedisError) -> Error {
    let kind = if error.is_connection_refusal() { Kind::Refused } else { Kind::Io };
    Error::new(kind, during).caused_by(error)
}
