//! One body of an HTTP/2 stream: flow control is the back-pressure.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::io_error;

/// A body that arrives. What was taken is given back to the peer's window only when it has moved on.
pub(crate) struct Http2Body {
    stream: RecvStream,
    held: usize,
}

impl Http2Body {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, held: 0 }
    }

    /// The next piece and whether nothing follows it, not even trailers.
    pub(crate) async fn data(&mut self) -> io::Result<Option<(Bytes, bool)>> {
        self.release();
        match poll_fn(|context| self.stream.poll_data(context)).await {
            None => Ok(None),
            Some(Err(error)) => Err(io_error(error)),
            Some(Ok(data)) => {
                self.held = data.len();
                Ok(Some((data, self.stream.is_end_stream())))
            }
        }
    }

    /// The trailers, once the data is over.
    pub(crate) async fn trailers(&mut self) -> io::Result<Option<HeaderMap>> {
        self.release();
        poll_fn(|context| self.stream.poll_trailers(context)).await.map_err(io_error)
    }

    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            // Fails only for more than was received.
            drop(self.stream.flow_control().release_capacity(held));
        }
    }
}

/// The sending half of a stream. It is borrowed only while it is polled, so that a reset is seen while the sender waits.
#[derive(Default)]
pub(crate) struct Sender(RefCell<Option<SendStream<Bytes>>>);

impl Sender {
    pub(crate) fn set(&self, stream: SendStream<Bytes>) {
        self.0.replace(Some(stream));
    }

    /// Runs `work` on the stream, if there is one.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut SendStream<Bytes>) -> R) -> Option<R> {
        self.0.borrow_mut().as_mut().map(work)
    }

    fn try_with(&self, work: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>) -> io::Result<()> {
        self.with(work).ok_or(io::ErrorKind::NotConnected)?.map_err(io_error)
    }

    /// Sends all of `data` as the peer's window allows. With `last` the stream ends with it.
    pub(crate) async fn send(&self, mut data: Bytes, last: bool) -> io::Result<()> {
        if data.is_empty() {
            return if last { self.try_with(|stream| stream.send_data(data, true)) } else { Ok(()) };
        }
        loop {
            self.with(|stream| stream.reserve_capacity(data.len()));
            let room =
                poll_fn(|context| self.with(|stream| stream.poll_capacity(context)).unwrap_or(Poll::Ready(None)));
            let room = match room.await {
                Some(Ok(room)) => room.min(data.len()),
                Some(Err(error)) => return Err(io_error(error)),
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            let piece = data.split_to(room);
            let end = data.is_empty();
            self.try_with(|stream| stream.send_data(piece, last && end))?;
            if end {
                return Ok(());
            }
        }
    }

    /// Ends the stream with trailers.
    pub(crate) fn finish(&self, trailers: HeaderMap) -> io::Result<()> {
        if trailers.is_empty() {
            return self.try_with(|stream| stream.send_data(Bytes::new(), true));
        }
        self.try_with(|stream| stream.send_trailers(trailers))
    }

    /// Breaks the stream off. Without effect on one that has ended.
    pub(crate) fn reset(&self, reason: Reason) {
        self.with(|stream| stream.send_reset(reason));
    }
}
