//! Message bodies between connections of which at least one speaks in frames. Two HTTP/1 connections take the shorter
//! way of [`crate::relay`].

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use sluice_http1::is_forbidden_trailer;

use crate::buffers::{BufferPool, LARGE};
use crate::heads;
use crate::http2::body::{Http2Body, Sender};
use crate::http3::body::Http3Body;
use crate::http3::send::Sender as Http3Sender;
use crate::relay::{Progress, RelayError, Sink, Source, TrailerFilter, append};
use crate::stream::Stream;

/// Names and values.
pub(crate) type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

/// A body that arrives.
pub(crate) enum Incoming<'b> {
    Http1(Http1Body<'b>),
    Http2(Http2Body),
    Http3(Http3Body),
    Held(HeldBody<'b>),
}

/// The rest of a body on an HTTP/1 connection.
pub(crate) struct Http1Body<'b> {
    pub(crate) pool: &'b BufferPool,
    pub(crate) stream: &'b Stream,
    pub(crate) source: &'b mut Source,
    ended: bool,
    /// Data that was read with the head.
    early: Bytes,
    /// Bytes that the next piece has at most.
    most: usize,
    /// Bytes read beyond the end.
    pub(crate) tail: Vec<u8>,
}

/// A body that is there as a whole.
pub(crate) struct HeldBody<'b> {
    rest: Bytes,
    trailers: &'b Trailers,
}

impl<'b> HeldBody<'b> {
    pub(crate) fn new(data: Bytes, trailers: &'b Trailers) -> Self {
        Self { rest: data, trailers }
    }

    /// One piece, so that what becomes of it is seen in between.
    fn data(&mut self) -> Option<(Bytes, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let piece = self.rest.split_to(LARGE.min(self.rest.len()));
        Some((piece, self.rest.is_empty() && self.trailers.is_empty()))
    }
}

/// A body that leaves.
pub(crate) enum Outgoing<'b> {
    Http1(&'b Stream, Sink),
    Http2(&'b Sender),
    Http3(&'b Http3Sender),
}

impl<'b> Http1Body<'b> {
    pub(crate) fn new(pool: &'b BufferPool, stream: &'b Stream, source: &'b mut Source) -> Self {
        let ended = source.is_finished();
        Self { pool, stream, source, ended, early: Bytes::new(), most: usize::MAX, tail: Vec::new() }
    }

    /// `early` was read with the head and comes first.
    pub(crate) fn with_early(mut self, early: Bytes) -> Self {
        self.early = early;
        self
    }

    /// The pieces to come have at most so many bytes.
    pub(crate) fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// All of the data was read before; only trailers are left.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Reads one piece, and whether nothing follows it, not even trailers. `None` is the end.
    async fn data(&mut self) -> Result<Option<(Bytes, bool)>, RelayError> {
        if !self.early.is_empty() {
            let last = self.ended && self.source.trailers().next().is_none();
            return Ok(Some((std::mem::take(&mut self.early), last)));
        }
        while !self.ended {
            let limit = match self.source {
                Source::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(self.most),
                _ => self.most,
            };
            let (mut buffer, read) = poll_fn(|context| {
                // A body that is waited for holds no buffer.
                let mut buffer = self.pool.large();
                let limit = limit.min(buffer.len());
                match self.stream.poll_read(context, &mut buffer[..limit]) {
                    Poll::Ready(read) => Poll::Ready((buffer, read)),
                    Poll::Pending => {
                        self.pool.put(buffer);
                        Poll::Pending
                    }
                }
            })
            .await;
            let result = match read {
                Err(error) => Err(RelayError::Read(Some(error))),
                Ok(0) => self.source.at_end_of_stream(self.stream).map(|()| (Bytes::new(), true)),
                Ok(count) => self.source.decode(&mut buffer[..count]).map(|piece| {
                    if piece.finished {
                        self.tail.extend_from_slice(&buffer[piece.used..count]);
                    }
                    (Bytes::copy_from_slice(&buffer[..piece.data]), piece.finished)
                }),
            };
            self.pool.put(buffer);
            let (data, ended) = result?;
            self.ended = ended;
            let last = ended && self.source.trailers().next().is_none();
            if last || !data.is_empty() {
                return Ok(Some((data, last)));
            }
        }
        Ok(None)
    }
}

impl Incoming<'_> {
    /// The next piece, and whether nothing follows it, not even trailers, as far as that is known. `None`: only trailers
    /// may follow.
    pub(crate) async fn data(&mut self) -> Result<Option<(Bytes, bool)>, RelayError> {
        match self {
            Self::Http1(body) => body.data().await,
            Self::Http2(body) => body.data().await.map_err(|error| RelayError::Read(Some(error))),
            Self::Http3(body) => body.data().await,
            Self::Held(body) => Ok(body.data()),
        }
    }

    /// Trailers that may be forwarded (RFC 9110 section 6.5.1).
    pub(crate) async fn trailers(&mut self, passes: TrailerFilter<'_>) -> Result<Trailers, RelayError> {
        let may = |name: &[u8]| !is_forbidden_trailer(name) && passes(name);
        match self {
            Self::Http1(body) => Ok(body
                .source
                .trailers()
                .filter(|(name, _)| may(name))
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect()),
            Self::Http2(body) => {
                let map = body.trailers().await.map_err(|error| RelayError::Read(Some(error)))?.unwrap_or_default();
                let pairs = map.iter().filter(|(name, _)| may(name.as_str().as_bytes()));
                Ok(pairs.map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect())
            }
            Self::Http3(body) => Ok(body.trailers().filter(|(name, _)| may(name)).collect()),
            Self::Held(body) => Ok(body.trailers.iter().filter(|(name, _)| may(name)).cloned().collect()),
        }
    }

    /// Bytes that an HTTP/1 peer sent beyond the end.
    pub(crate) fn tail(self) -> Vec<u8> {
        match self {
            Self::Http1(body) => body.tail,
            Self::Http2(_) | Self::Http3(_) | Self::Held(_) => Vec::new(),
        }
    }
}

impl Outgoing<'_> {
    /// Sends all of `data`. With `last` nothing follows it.
    pub(crate) async fn send(&self, data: Bytes, last: bool) -> Result<(), RelayError> {
        match self {
            Self::Http2(sender) => sender.send(data, last).await.map_err(RelayError::Write),
            Self::Http3(sender) => sender.send(data, last).await.map_err(RelayError::Write),
            Self::Http1(stream, sink) => {
                let mut out = Vec::with_capacity(data.len() + 32);
                append(*sink, &data, &mut out);
                if last && *sink == Sink::Chunked {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
                if out.is_empty() { Ok(()) } else { stream.write_all(&out).await.map_err(RelayError::Write) }
            }
        }
    }

    /// Ends the body, all of whose data was sent.
    pub(crate) async fn finish(&self, trailers: &[(Vec<u8>, Vec<u8>)]) -> Result<(), RelayError> {
        match self {
            Self::Http2(sender) => {
                let pairs = trailers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
                sender.finish(heads::trailers(pairs)).map_err(RelayError::Write)
            }
            Self::Http3(sender) => sender.finish(trailers).await.map_err(RelayError::Write),
            Self::Http1(_, Sink::Identity) => Ok(()),
            Self::Http1(stream, Sink::Chunked) => {
                let mut out = b"0\r\n".to_vec();
                for (name, value) in trailers {
                    out.extend_from_slice(name);
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(value);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"\r\n");
                stream.write_all(&out).await.map_err(RelayError::Write)
            }
        }
    }
}

/// Moves the rest of a body. Returns the bytes that an HTTP/1 peer sent beyond its end.
pub(crate) async fn bridge(
    mut from: Incoming<'_>,
    to: Outgoing<'_>,
    passes: TrailerFilter<'_>,
    progress: &impl Progress,
) -> Result<Vec<u8>, RelayError> {
    let mut ended = false;
    while let Some((data, last)) = from.data().await? {
        let count = data.len();
        to.send(data, last).await?;
        progress.moved(count);
        if last {
            ended = true;
            break;
        }
    }
    if !ended {
        let trailers = from.trailers(passes).await?;
        to.finish(&trailers).await?;
    }
    Ok(from.tail())
}
