//! One stream of a client's HTTP/2 connection, as the exchange sees it.

use std::cell::{Cell, RefCell};
use std::task::Context;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Response, StatusCode};

use super::body::{Http2Body, Sender};
use crate::error::ProxyError;
use crate::heads;

/// The two halves of a stream.
pub(crate) struct StreamClient {
    /// The connection is encrypted.
    pub(crate) secure: bool,
    /// It asked for a tunnel, so no other answer than an error makes sense.
    pub(crate) connects: bool,
    respond: RefCell<SendResponse<Bytes>>,
    /// Set once the head of the answer was sent.
    pub(crate) sender: Sender,
    begun: Cell<bool>,
    body: RefCell<Option<RecvStream>>,
    reset: Cell<bool>,
}

impl StreamClient {
    /// `body` is `None` when the request ended with its head.
    pub(crate) fn new(secure: bool, connects: bool, respond: SendResponse<Bytes>, body: Option<RecvStream>) -> Self {
        Self {
            secure,
            connects,
            respond: RefCell::new(respond),
            sender: Sender::default(),
            begun: Cell::new(false),
            body: RefCell::new(body),
            reset: Cell::new(false),
        }
    }

    /// Takes the request's body; there is one at most.
    pub(crate) fn take_body(&self) -> Option<Http2Body> {
        self.body.take().map(Http2Body::new)
    }

    /// Whether the client has cancelled the stream or its connection is gone.
    pub(crate) fn poll_reset(&self, context: &mut Context<'_>) -> bool {
        let gone = if self.begun.get() {
            self.sender.with(|stream| stream.poll_reset(context).is_ready()).unwrap_or(false)
        } else {
            self.respond.borrow_mut().poll_reset(context).is_ready()
        };
        self.reset.set(self.reset.get() || gone);
        gone
    }

    /// Whether the client broke the stream off.
    pub(crate) fn was_reset(&self) -> bool {
        self.reset.get()
    }

    /// Sends an interim 100.
    pub(crate) fn send_continue(&self) -> Result<(), ProxyError> {
        let mut interim = Response::new(());
        *interim.status_mut() = StatusCode::CONTINUE;
        self.respond.borrow_mut().send_informational(interim).map_err(|_| ProxyError::ClientGone)
    }

    /// Sends the head that the HTTP/1.1 text `head` says.
    pub(crate) fn begin(&self, head: &[u8], end: bool) -> Result<(), ProxyError> {
        let response = heads::response(&Bytes::copy_from_slice(head))
            .map_err(|_| ProxyError::UpstreamProtocol("a field of its answer cannot be sent over HTTP/2"))?;
        let sent = self.respond.borrow_mut().send_response(response, end).map_err(|_| ProxyError::ClientGone)?;
        self.begun.set(true);
        if !end {
            self.sender.set(sent);
        }
        Ok(())
    }

    /// Sends data behind the head.
    pub(crate) async fn send(&self, data: &[u8], last: bool) -> Result<(), ProxyError> {
        self.sender.send(Bytes::copy_from_slice(data), last).await.map_err(|_| ProxyError::ClientGone)
    }

    /// Breaks the stream off: its answer is incomplete.
    pub(crate) fn abort(&self) {
        if self.begun.get() {
            self.sender.reset(Reason::INTERNAL_ERROR);
        } else {
            self.respond.borrow_mut().send_reset(Reason::INTERNAL_ERROR);
        }
    }
}
