//! One stream of a client's HTTP/3 connection, as the exchange sees it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{SendStream, StoppedError, VarInt};
use sluice_http3::Code;

use super::body::Http3Body;
use super::head;
use super::send::Sender;
use crate::error::ProxyError;

type Stopped = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>>>>;

/// The two halves of a stream.
pub(crate) struct StreamClient {
    pub(crate) sender: Sender,
    /// The request is an extended CONNECT.
    pub(crate) connects: Cell<bool>,
    body: RefCell<Option<Http3Body>>,
    /// Ends when the client wants no more of the answer; `None` once it has ended otherwise.
    stopped: RefCell<Option<Stopped>>,
    reset: Cell<bool>,
    /// Largest field section that the client takes.
    section_limit: u64,
}

impl StreamClient {
    pub(super) fn new(stream: SendStream, section_limit: u64) -> Self {
        let stopped: Stopped = Box::pin(stream.stopped());
        Self {
            sender: Sender::new(stream),
            connects: Cell::new(false),
            body: RefCell::default(),
            stopped: RefCell::new(Some(stopped)),
            reset: Cell::new(false),
            section_limit,
        }
    }

    /// The request has a body.
    pub(super) fn set_body(&self, body: Http3Body) {
        self.body.replace(Some(body));
    }

    /// Takes the request's body; there is one at most.
    pub(crate) fn take_body(&self) -> Option<Http3Body> {
        self.body.take()
    }

    /// Whether the client has cancelled the stream or its connection is gone.
    pub(crate) fn poll_reset(&self, context: &mut Context<'_>) -> bool {
        let mut stopped = self.stopped.borrow_mut();
        let polled = stopped.as_mut().map_or(Poll::Pending, |stopped| stopped.as_mut().poll(context));
        match polled {
            Poll::Pending => {}
            // The client has received all of it.
            Poll::Ready(Ok(None)) => *stopped = None,
            Poll::Ready(_) => {
                *stopped = None;
                self.reset.set(true);
            }
        }
        self.reset.get()
    }

    /// Whether the client broke the stream off.
    pub(super) fn was_reset(&self) -> bool {
        self.reset.get()
    }

    /// Sends an interim 100.
    pub(crate) async fn send_continue(&self) -> Result<(), ProxyError> {
        self.begin(b"HTTP/1.1 100 Continue\r\n\r\n", false).await
    }

    /// Sends the head that the HTTP/1.1 text `text` says.
    pub(crate) async fn begin(&self, text: &[u8], end: bool) -> Result<(), ProxyError> {
        let mut section = Vec::with_capacity(text.len());
        let size = head::response_section(text, &mut section)
            .map_err(|_| ProxyError::UpstreamProtocol("a field of its answer cannot be sent over HTTP/3"))?;
        if size > self.section_limit {
            return Err(ProxyError::UpstreamProtocol("the head of its answer is larger than the client takes"));
        }
        self.sender.section(section, end).await.map_err(|_| ProxyError::ClientGone)
    }

    /// Sends data behind the head.
    pub(crate) async fn send(&self, data: &[u8], last: bool) -> Result<(), ProxyError> {
        self.sender.send(Bytes::copy_from_slice(data), last).await.map_err(|_| ProxyError::ClientGone)
    }

    /// Breaks the stream off: its answer is incomplete.
    pub(super) fn abort(&self) {
        self.sender.reset(Code::H3_INTERNAL_ERROR);
    }
}
