//! Bodies of answers that flow at a rate.

use bytes::Bytes;
use sluice_host::{Host, Timer};
use sluice_policy::bandwidth::Bandwidth;
use sluice_snapshot::BandwidthLimit;

use crate::body::{Incoming, Outgoing};
use crate::relay::{Progress, RelayError, TrailerFilter};
use crate::request::Request;

/// Bytes that are asked for at once; the bucket gives less where the rate is low.
const PIECE: u64 = 64 * 1024;

/// How much of a body may pass, and when more.
pub(crate) struct Pace {
    host: Host,
    timer: Timer,
    /// Bytes that the rate does not apply to.
    free: u64,
    /// Bytes that the bucket gave and nobody used yet.
    credit: u64,
    bucket: Bandwidth,
}

impl Pace {
    pub(crate) fn new(host: &Host, limit: &BandwidthLimit) -> Self {
        Self {
            host: host.clone(),
            timer: Timer::new(host),
            free: limit.after_bytes,
            credit: 0,
            bucket: Bandwidth::new(limit.bytes_per_second, host.now_ns()),
        }
    }

    /// Waits until something may pass; how many bytes, above zero and at most `wanted`, which is above zero.
    async fn room(&mut self, wanted: u64) -> u64 {
        if self.free > 0 {
            return self.free.min(wanted);
        }
        while self.credit == 0 {
            let passage = self.bucket.take(wanted, self.host.now_ns());
            self.credit = passage.bytes;
            if let Some(wake_ns) = passage.wake_ns.filter(|_| passage.bytes == 0) {
                self.timer.sleep_until(wake_ns).await;
            }
        }
        self.credit.min(wanted)
    }

    fn used(&mut self, count: u64) {
        let free = self.free.min(count);
        self.free -= free;
        self.credit = self.credit.saturating_sub(count - free);
    }
}

impl Request<'_> {
    /// The rate that the route has for bodies of answers.
    pub(crate) fn bandwidth(&self) -> Option<&BandwidthLimit> {
        self.route.get()?.bandwidth.as_deref()
    }
}

/// Moves a body at a rate, beginning with `data`, behind which nothing comes if it is the `last`. Nothing is read
/// before it may pass, so that no buffer is held for the time in between. Returns the bytes that an HTTP/1 peer sent
/// beyond its end.
pub(crate) async fn paced(
    mut pace: Pace,
    (mut data, mut last): (Bytes, bool),
    mut from: Incoming<'_>,
    to: Outgoing<'_>,
    passes: TrailerFilter<'_>,
    progress: &impl Progress,
) -> Result<Vec<u8>, RelayError> {
    loop {
        if data.is_empty() && last {
            to.send(Bytes::new(), true).await?;
        }
        while !data.is_empty() {
            let room = pace.room(data.len() as u64).await;
            let piece = data.split_to(usize::try_from(room).unwrap_or(usize::MAX).min(data.len()));
            let count = piece.len();
            pace.used(count as u64);
            to.send(piece, last && data.is_empty()).await?;
            progress.moved(count);
        }
        if last {
            break;
        }
        let room = pace.room(PIECE).await;
        if let Incoming::Http1(body) = &mut from {
            body.limit(usize::try_from(room).unwrap_or(usize::MAX));
        }
        // Waiting for the upstream is idleness again, waiting for the rate was not.
        progress.moved(0);
        match from.data().await? {
            Some(next) => (data, last) = next,
            None => {
                to.finish(&from.trailers(passes).await?).await?;
                break;
            }
        }
    }
    Ok(match from {
        Incoming::Http1(body) => body.tail,
        _ => Vec::new(),
    })
}
