//! Bytes from one connection to another until the end, which is passed on: what tunnels and TCP routes have in common.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::buffers::{BufferPool, SMALL};
use crate::relay::Progress;
use crate::stream::Stream;

/// Which side of a copy broke.
pub(crate) enum Broken {
    /// The side that is read.
    From(io::Error),
    /// The side that is read ended its TCP without ending its TLS.
    Cut,
    /// The side that is written.
    To(io::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::From(error) | Broken::To(error) => error,
            Broken::Cut => io::ErrorKind::UnexpectedEof.into(),
        }
    }
}

/// Copies until the end of `from`, which becomes the end of what is written to `to`. What was read and not yet written
/// is never more than one large buffer.
pub(crate) async fn copy(
    pool: &BufferPool,
    from: &Stream,
    to: &Stream,
    progress: &impl Progress,
) -> Result<(), Broken> {
    let mut bulk = false;
    loop {
        let Some((data, count)) = read(pool, from, bulk, || false).await.map_err(Broken::From)? else { continue };
        if count == 0 {
            pool.put(data);
            if from.was_cut() {
                return Err(Broken::Cut);
            }
            return to.shutdown_write().await.map_err(Broken::To);
        }
        // Much is coming when a small buffer was not enough.
        bulk = count >= SMALL;
        let written = to.write_all(data.get(..count).unwrap_or_default()).await;
        pool.put(data);
        written.map_err(Broken::To)?;
        progress.moved(count);
    }
}

/// Waits for bytes (none: the end), without holding a buffer while there are none. `None` as soon as `interrupted` says
/// so, which is asked whenever the task wakes.
pub(crate) async fn read(
    pool: &BufferPool,
    from: &Stream,
    bulk: bool,
    interrupted: impl Fn() -> bool,
) -> io::Result<Option<(Box<[u8]>, usize)>> {
    let mut buffer = None;
    let count = poll_fn(|context| {
        if interrupted() {
            return Poll::Ready(Ok(None));
        }
        let held = buffer.get_or_insert_with(|| if bulk { pool.large() } else { pool.small() });
        let polled = from.poll_read(context, held);
        if polled.is_pending()
            && let Some(idle) = buffer.take()
        {
            pool.put(idle);
        }
        polled.map_ok(Some)
    })
    .await;
    match (count, buffer) {
        (Ok(count), Some(data)) => Ok(count.map(|count| (data, count))),
        (Ok(_), None) => Ok(None),
        (Err(error), data) => {
            if let Some(data) = data {
                pool.put(data);
            }
            Err(error)
        }
    }
}
