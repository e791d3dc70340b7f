//! Ending a connection whose peer may not be there to hear why.

use std::time::Duration;

use stackwire_core::{Connection, Error, Host, Reason};

/// How long a connection has to end properly.
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes `connection` for `reason`, which the peer is told, and waits until it has ended. Gives it up with `error` where the
/// peer does not take the word within some seconds. Dropping the future leaves it closing.
pub async fn close(host: &Host, connection: &Connection, reason: Reason, detail: &str, error: Error) {
    connection.close(reason, detail);
    let ending = async { Ok(connection.closed().await) };
    if host.env().timeout(PATIENCE, "closing a connection", ending).await.is_err() {
        host.give_up(connection.info().id, error);
    }
}
