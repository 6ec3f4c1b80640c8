//! Bodies that change on their way: compression, gRPC-Web, gRPC over HTTP/1.1.

mod answer;
mod base64;
mod compress;
mod grpc;
mod grpc_web;
mod request;

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;

pub(crate) use answer::Recoding;
pub(crate) use base64::Decoder;
pub(crate) use grpc::Bridge;
pub(crate) use request::request_change;

use crate::body::{Incoming, Outgoing, Trailers};
use crate::relay::{Progress, RelayError, TrailerFilter};
use crate::response_head::describes_body;

/// What changes about a head because its body does.
#[derive(Debug, Default)]
pub struct HeadChange {
    /// Another status (answers only).
    pub status: Option<u16>,
    /// Names of fields that do not pass, in lower case.
    pub drop: Vec<&'static str>,
    /// Fields that describe the body do not pass: there is another one.
    pub body: bool,
    /// Complete lines that are added.
    pub lines: Vec<u8>,
}

impl HeadChange {
    /// A field of that name does not pass.
    pub(crate) fn drops(&self, name: &[u8]) -> bool {
        self.drop.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()))
            || (self.body && describes_body(name))
    }

    /// Puts a field in the place of all of that name.
    pub(crate) fn set(&mut self, name: &'static str, value: &[u8]) {
        self.drop.push(name);
        crate::response_head::header(&mut self.lines, name.as_bytes(), value);
    }
}

/// Turns one body into another, piece by piece.
pub(crate) trait Transform {
    /// Appends what becomes of `data`, in a form that the receiver can use at once: an event stream must not wait for
    /// its next event.
    fn piece(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str>;

    /// Appends the end. Trailers that become part of the body are taken out of `trailers`.
    fn end(&mut self, trailers: &mut Trailers, out: &mut Vec<u8>) -> Result<(), &'static str>;
}

/// Moves the rest of a body through `by`, at most one buffer of it per turn of the loop. Returns the bytes that an
/// HTTP/1 peer sent beyond its end.
pub(crate) async fn transform(
    mut from: Incoming<'_>,
    to: Outgoing<'_>,
    by: &mut dyn Transform,
    passes: TrailerFilter<'_>,
    progress: &impl Progress,
) -> Result<Vec<u8>, RelayError> {
    let mut out = Vec::new();
    let mut trailers = Trailers::new();
    loop {
        let Some((data, last)) = from.data().await? else {
            trailers = from.trailers(passes).await?;
            break;
        };
        by.piece(&data, &mut out).map_err(RelayError::Framing)?;
        if last {
            break;
        }
        let count = out.len();
        to.send(Bytes::from(std::mem::take(&mut out)), false).await?;
        progress.moved(count);
        // Work on bytes takes the processor, other than moving them: others must have their turn.
        next_turn().await;
    }
    by.end(&mut trailers, &mut out).map_err(RelayError::Framing)?;
    let count = out.len();
    to.send(Bytes::from(out), trailers.is_empty()).await?;
    if !trailers.is_empty() {
        to.finish(&trailers).await?;
    }
    progress.moved(count);
    Ok(from.tail())
}

/// Lets everything else that is ready run first.
async fn next_turn() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
