//! The client's side of an exchange, whatever protocol it speaks.

use std::task::Context;

use crate::error::ProxyError;
use crate::http2::stream::StreamClient;
use crate::stream::Stream;

/// Where a request came from and its answer goes.
pub(crate) enum Client {
    /// An HTTP/1 connection.
    Http1(Stream),
    /// One stream of an HTTP/2 connection.
    Http2(Box<StreamClient>),
}

impl Client {
    /// The connection is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Http1(stream) => stream.is_tls(),
            Self::Http2(stream) => stream.secure,
        }
    }

    /// The protocol for logs, where `version` is what an HTTP/1 head says.
    pub(crate) fn protocol(&self, version: &'static str) -> &'static str {
        match self {
            Self::Http1(_) => version,
            Self::Http2(_) => "HTTP/2",
        }
    }

    /// It asked for a tunnel by extended CONNECT.
    pub(crate) fn connects(&self) -> bool {
        matches!(self, Self::Http2(stream) if stream.connects)
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
        }
    }

    /// Lets the client send its body (RFC 9110 section 10.1.1).
    pub(crate) async fn send_continue(&self) -> Result<(), ProxyError> {
        match self {
            Self::Http1(stream) => {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| ProxyError::ClientGone)
            }
            Self::Http2(stream) => stream.send_continue(),
        }
    }

    /// Sends a complete answer, given as HTTP/1.1 text whose head is `head` bytes long.
    pub(crate) async fn send_whole(&self, text: &[u8], head: usize) -> Result<(), ProxyError> {
        match self {
            Self::Http1(stream) => stream.write_all(text).await.map_err(|_| ProxyError::ClientGone),
            Self::Http2(stream) => {
                let (head, body) = text.split_at(head.min(text.len()));
                stream.begin(head, body.is_empty())?;
                if body.is_empty() { Ok(()) } else { stream.send(body, true).await }
            }
        }
    }
}
