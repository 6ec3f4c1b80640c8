//! Requests that are read as a whole before they are forwarded (Emissary: `buffer` of the Module; Envoy: the filter of
//! that name). Such a request can be sent again as often as its retry policy asks.

use bytes::Bytes;
use sluice_http1::{Framing, RejectReason};
use sluice_snapshot::Choice;

use crate::body::{HeldBody, Http1Body, Incoming, Trailers};
use crate::client::Client;
use crate::deadline::Meter;
use crate::error::ProxyError;
use crate::relay::{Progress, RelayError};
use crate::request::Request;
use crate::request_head::BodyHeader;
use crate::transform::{Bridge, Decoder, Transform};

/// The body of a request, all of it.
pub(crate) struct Whole {
    data: Bytes,
    trailers: Trailers,
    /// Bytes of it that came with the head.
    pub(crate) taken: usize,
    /// Bytes read beyond it.
    pub(crate) surplus: Vec<u8>,
}

impl Whole {
    /// How it is announced. Only chunks have trailers.
    pub(crate) fn header(&self) -> BodyHeader {
        if self.trailers.is_empty() { BodyHeader::Length(self.data.len() as u64) } else { BodyHeader::Chunked }
    }

    /// The body from its start.
    pub(crate) fn body(&self) -> HeldBody<'_> {
        HeldBody::new(self.data.clone(), &self.trailers)
    }
}

fn failure(error: &RelayError) -> ProxyError {
    match error {
        RelayError::Framing(reason) => ProxyError::BodyProtocol(reason),
        RelayError::Read(_) | RelayError::Write(_) => ProxyError::ClientGone,
    }
}

impl Request<'_> {
    /// Reads the body, at most `limit` bytes of it. `None`: it came with the head, which is as good.
    pub(crate) async fn hold(
        &self,
        limit: u64,
        choice: &Choice,
        bridge: Bridge,
    ) -> Result<Option<Box<Whole>>, ProxyError> {
        let connection = self.connection;
        let present = self.bytes.get(self.head_len..).unwrap_or_default();
        if let Framing::Length(length) = self.head.framing {
            if length > limit {
                return Err(self.too_large(limit));
            }
            if !connection.client.in_frames() && length <= present.len() as u64 {
                return Ok(None);
            }
        }
        connection.deadlines.start_request(self.compiled.options.body_idle_timeout_ns, true);
        let mut whole = connection.deadlines.limit(&connection.client, self.read(limit, choice, present)).await?;
        if bridge.decodes() {
            let (mut decoder, mut data) = (Decoder::default(), Vec::new());
            let decoded = decoder.piece(&whole.data, &mut data).and_then(|()| decoder.end(&mut Vec::new(), &mut data));
            decoded.map_err(ProxyError::BodyProtocol)?;
            whole.data = Bytes::from(data);
        }
        Ok(Some(Box::new(whole)))
    }

    fn too_large(&self, limit: u64) -> ProxyError {
        self.connection.shared.count_reject(RejectReason::BodyTooLarge as usize);
        ProxyError::BodyTooLarge(limit)
    }

    async fn read(&self, limit: u64, choice: &Choice, present: &[u8]) -> Result<Whole, ProxyError> {
        let connection = self.connection;
        if self.head.expect_continue {
            connection.client.send_continue().await?;
        }
        let meter = Meter::new(&connection.deadlines);
        let mut source = self.source();
        let mut taken = 0;
        let mut from = match &connection.client {
            Client::Http1(stream) => {
                let mut first = present.to_vec();
                let piece = source.decode(&mut first).map_err(|error| failure(&error))?;
                first.truncate(piece.data);
                taken = piece.used;
                Incoming::Http1(
                    Http1Body::new(&connection.shared.buffers, stream, &mut source).with_early(first.into()),
                )
            }
            client => client.framed_body().ok_or(ProxyError::ClientGone)?,
        };
        let mut data = Vec::new();
        let mut ended = false;
        while !ended && let Some((piece, last)) = from.data().await.map_err(|error| failure(&error))? {
            if piece.len() as u64 > limit.saturating_sub(data.len() as u64) {
                return Err(self.too_large(limit));
            }
            data.extend_from_slice(&piece);
            meter.moved(piece.len());
            self.record.received.set(meter.bytes());
            ended = last;
        }
        let passes = |name: &[u8]| self.trailer_passes(choice, name);
        let trailers =
            if ended { Trailers::new() } else { from.trailers(&passes).await.map_err(|error| failure(&error))? };
        Ok(Whole { data: data.into(), trailers, taken, surplus: from.tail() })
    }
}
