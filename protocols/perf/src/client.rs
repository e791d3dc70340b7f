//! The measuring side.

use std::time::Duration;

use stackwire_core::{Env, Error, Layer, Result, Stream, Violation};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::ZEROS;

/// How far a measurement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes the stream has taken in for sending.
    pub uploaded: u64,
    /// Bytes that have arrived.
    pub downloaded: u64,
    /// Time since the start.
    pub elapsed: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Bytes sent, without the request.
    pub uploaded: u64,
    /// Bytes received.
    pub downloaded: u64,
    /// From the start until the first byte of the answer or its end: the server answers once it has read all, so
    /// that includes the last byte's way there and one way back, and none of it is still in some buffer.
    pub upload_time: Duration,
    /// From there until the end of the answer.
    pub download_time: Duration,
}

/// Sends `upload` bytes, then receives `download` bytes; calls `progress` after each piece of either.
///
/// More than `download` bytes are `PeerMisbehaved`, fewer are `Closed`. Uses no memory for what it moves. Has no time
/// limit of its own; dropping the future resets the stream.
pub async fn perf(
    stream: Stream,
    upload: u64,
    download: u64,
    progress: impl FnMut(Progress) + Send,
    env: &Env,
) -> Result<Report> {
    measure(stream, upload, download, progress, env).await.map_err(|e| e.at(Layer::Protocol, "perf"))
}

async fn measure(
    mut stream: Stream,
    upload: u64,
    download: u64,
    mut progress: impl FnMut(Progress) + Send,
    env: &Env,
) -> Result<Report> {
    let start = env.now();
    let elapsed = || env.now().saturating_duration_since(start);
    let sending = |e| Error::io("uploading", e);

    // Not flushed: the request travels with the first of the upload.
    stream.write_all(&download.to_be_bytes()).await.map_err(sending)?;
    let mut uploaded = 0;
    while uploaded < upload {
        let size = usize::try_from(upload - uploaded).unwrap_or(usize::MAX).min(ZEROS.len());
        let n = stream.write(&ZEROS[..size]).await.map_err(sending)?;
        if n == 0 {
            return Err(Error::closed("uploading"));
        }
        uploaded += n as u64;
        progress(Progress { uploaded, downloaded: 0, elapsed: elapsed() });
    }
    stream.shutdown().await.map_err(sending)?;

    let mut downloaded = 0;
    let mut upload_time = None;
    loop {
        let n = stream.fill_buf().await.map_err(|e| Error::io("downloading", e))?.len();
        upload_time.get_or_insert_with(elapsed);
        if n == 0 {
            break;
        }
        stream.consume(n);
        downloaded += n as u64;
        if downloaded > download {
            return Err(Error::violated(
                Violation::WrongAnswer,
                format!("a download of more than the {download} bytes that were asked for"),
            ));
        }
        progress(Progress { uploaded, downloaded, elapsed: elapsed() });
    }
    if downloaded < download {
        return Err(Error::closed(format!("the download ended after {downloaded} of {download} bytes")));
    }
    let total = elapsed();
    let upload_time = upload_time.unwrap_or(total);
    Ok(Report { uploaded, downloaded, upload_time, download_time: total.saturating_sub(upload_time) })
}
