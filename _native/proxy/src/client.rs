//! The client's side of an exchange, whatever protocol it speaks.

use std::task::Context;

use crate::body::{Incoming, Outgoing};
use crate::error::ProxyError;
use crate::heads;
use crate::http2::stream::StreamClient;
use crate::http3::stream::StreamClient as Http3Client;
use crate::relay::Sink;
use crate::stream::Stream;

/// Where a request came from and its answer goes.
pub(crate) enum Client {
    /// An HTTP/1 connection.
    Http1(Stream),
    /// One stream of an HTTP/2 connection.
    Http2(Box<StreamClient>),
    /// One stream of an HTTP/3 connection.
    Http3(Box<Http3Client>),
}

impl Client {
    /// The connection is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Http1(stream) => stream.is_tls(),
            Self::Http2(stream) => stream.secure,
            Self::Http3(_) => true,
        }
    }

    /// The protocol for logs, where `version` is what an HTTP/1 head says.
    pub(crate) fn protocol(&self, version: &'static str) -> &'static str {
        match self {
            Self::Http1(_) => version,
            Self::Http2(_) => "HTTP/2",
            Self::Http3(_) => "HTTP/3",
        }
    }

    /// It asked for a tunnel by extended CONNECT.
    pub(crate) fn connects(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(stream) => stream.connects,
            Self::Http3(stream) => stream.connects.get(),
        }
    }

    /// Messages are made of frames, not of text: the protocol itself marks where a body ends.
    pub(crate) fn in_frames(&self) -> bool {
        !matches!(self, Self::Http1(_))
    }

    /// The client is gone for good. If not, the current task wakes when that may have changed.
    pub(crate) fn poll_gone(&self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Http1(stream) => {
                if stream.is_hung_up() {
                    return true;
                }
                stream.watch_peer(context);
                false
            }
            Self::Http2(stream) => stream.poll_reset(context),
            Self::Http3(stream) => stream.poll_reset(context),
        }
    }

    /// Lets the client send its body (RFC 9110 section 10.1.1).
    pub(crate) async fn send_continue(&self) -> Result<(), ProxyError> {
        match self {
            Self::Http1(stream) => {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| ProxyError::ClientGone)
            }
            Self::Http2(stream) => stream.send_continue(),
            Self::Http3(stream) => stream.send_continue().await,
        }
    }

    /// Sends the head of an answer, given as HTTP/1.1 text. With `end` nothing follows it.
    pub(crate) async fn begin(&self, head: &[u8], end: bool) -> Result<(), ProxyError> {
        match self {
            Self::Http1(stream) => stream.write_all(head).await.map_err(|_| ProxyError::ClientGone),
            Self::Http2(stream) => stream.begin(head, end),
            Self::Http3(stream) => stream.begin(head, end).await,
        }
    }

    /// Sends the head of a switch of protocols, given as HTTP/1.1 text. In frames it is a 200 without what belongs to
    /// HTTP/1.1 (RFC 8441 section 5).
    pub(crate) async fn begin_tunnel(&self, head: &[u8]) -> Result<(), ProxyError> {
        if self.in_frames() { self.begin(&heads::tunnel_text(head), false).await } else { self.send(head, false).await }
    }

    /// Sends data behind the head. With `last` nothing follows it.
    pub(crate) async fn send(&self, data: &[u8], last: bool) -> Result<(), ProxyError> {
        match self {
            Self::Http1(stream) => stream.write_all(data).await.map_err(|_| ProxyError::ClientGone),
            Self::Http2(stream) => stream.send(data, last).await,
            Self::Http3(stream) => stream.send(data, last).await,
        }
    }

    /// Where the body of the answer goes; `sink` is how it goes over HTTP/1.
    pub(crate) fn outgoing(&self, sink: Sink) -> Outgoing<'_> {
        match self {
            Self::Http1(stream) => Outgoing::Http1(stream, sink),
            Self::Http2(stream) => Outgoing::Http2(&stream.sender),
            Self::Http3(stream) => Outgoing::Http3(&stream.sender),
        }
    }

    /// The body of the request where it arrives in frames; there is one at most.
    pub(crate) fn framed_body(&self) -> Option<Incoming<'_>> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(stream) => stream.take_body().map(Incoming::Http2),
            Self::Http3(stream) => stream.take_body().map(Incoming::Http3),
        }
    }

    /// Sends a complete answer, given as HTTP/1.1 text whose head is `head` bytes long.
    pub(crate) async fn send_whole(&self, text: &[u8], head: usize) -> Result<(), ProxyError> {
        if !self.in_frames() {
            return self.send(text, true).await;
        }
        let (head, body) = text.split_at(head.min(text.len()));
        self.begin(head, body.is_empty()).await?;
        if body.is_empty() { Ok(()) } else { self.send(body, true).await }
    }
}
