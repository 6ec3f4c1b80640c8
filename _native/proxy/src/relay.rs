//! Moves one message body from one connection to another, in either direction, with one bounded buffer. Where both sides are
//! fast the buffer is a larger one; while nothing comes there is none.

use std::future::poll_fn;
use std::io;

use sluice_http1::{ChunkedDecoder, ResponseFraming, is_forbidden_trailer};

use crate::buffers::BufferPool;
use crate::stream::Stream;

/// Room before the data of a buffer for a chunk header ("fffff\r\n").
const FRONT: usize = 16;
/// Room behind the data for the end of a chunk.
const BACK: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n";
const LINE_END: &[u8] = b"\r\n";

/// How the body arrives.
pub(crate) enum Source {
    /// Nothing is (or is left) to come.
    Empty,
    /// This many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Box<ChunkedDecoder>),
    /// Everything until the peer closes (answers only).
    UntilClose,
}

/// How the body leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Byte for byte: the length was announced, or the close is the end.
    Identity,
    /// As chunks, with trailers if there are any.
    Chunked,
}

/// Why a relay ended early.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// Reading failed; `None` means the peer closed in the middle of the message.
    Read(Option<io::Error>),
    /// The peer's framing is broken.
    Framing(&'static str),
    /// Writing to the other side failed.
    Write(io::Error),
}

/// One decoded piece of a body.
pub(crate) struct Piece {
    /// Length of the data, at the front of the buffer that was given in.
    pub(crate) data: usize,
    /// Bytes of the buffer that belonged to this message.
    pub(crate) used: usize,
    /// The message is complete.
    pub(crate) finished: bool,
}

impl Source {
    /// The body of an answer.
    pub(crate) fn of(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::Empty,
            ResponseFraming::Length(length) => Self::Length(length),
            ResponseFraming::Chunked => Self::Chunked(Box::default()),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Empty | Self::Length(0) => true,
            Self::Chunked(decoder) => decoder.is_finished(),
            Self::Length(_) | Self::UntilClose => false,
        }
    }

    /// Decodes what is at the front of `buffer`, in place.
    pub(crate) fn decode(&mut self, buffer: &mut [u8]) -> Result<Piece, RelayError> {
        match self {
            Self::Empty => Ok(Piece { data: 0, used: 0, finished: true }),
            Self::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= data as u64;
                Ok(Piece { data, used: data, finished: *left == 0 })
            }
            Self::Chunked(decoder) => {
                let decoded = decoder.decode(buffer).map_err(|error| RelayError::Framing(error.as_str()))?;
                Ok(Piece { data: decoded.data_len, used: decoded.consumed, finished: decoded.finished })
            }
            Self::UntilClose => Ok(Piece { data: buffer.len(), used: buffer.len(), finished: false }),
        }
    }

    /// What the end of `stream` means for this body. Without a closure alert an answer that the close ends is incomplete
    /// (RFC 9112 section 9.8).
    pub(crate) fn at_end_of_stream(&self, stream: &Stream) -> Result<(), RelayError> {
        match self {
            Self::UntilClose if stream.was_cut() => Err(RelayError::Read(None)),
            Self::UntilClose | Self::Empty | Self::Length(0) => Ok(()),
            Self::Length(_) | Self::Chunked(_) => Err(RelayError::Read(None)),
        }
    }

    /// The trailers of a chunked body that was read to its end.
    pub(crate) fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let decoder = match self {
            Self::Chunked(decoder) => Some(decoder),
            _ => None,
        };
        let trailers = decoder.map_or(&[][..], |decoder| decoder.trailers());
        trailers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The end of a chunked body on the way out, with the trailers that may be forwarded (RFC 9110 section 6.5.1) and
    /// that `passes` lets through.
    pub(crate) fn write_end(&self, passes: TrailerFilter<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(LAST_CHUNK);
        for (name, value) in self.trailers() {
            if !is_forbidden_trailer(name) && passes(name) {
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(value);
                out.extend_from_slice(LINE_END);
            }
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Appends `data` to `out` as the sink wants it.
pub(crate) fn append(sink: Sink, data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    match sink {
        Sink::Identity => out.extend_from_slice(data),
        Sink::Chunked => {
            let mut digits = [0; 18];
            out.extend_from_slice(sluice_http1::chunk_header(data.len(), &mut digits));
            out.extend_from_slice(data);
            out.extend_from_slice(LINE_END);
        }
    }
}

/// Which trailer names may be forwarded: a trailer must not become what a header of that name could not be (row C37).
pub(crate) type TrailerFilter<'f> = &'f dyn Fn(&[u8]) -> bool;

/// Lets the owner of the timers see progress.
pub(crate) trait Progress {
    /// `count` body bytes were written on.
    fn moved(&self, count: usize);
}

/// Relays the rest of a body. Returns the bytes read beyond its end (the start of a next message, or garbage).
pub(crate) async fn relay(
    pool: &BufferPool,
    from: &Stream,
    to: &Stream,
    source: &mut Source,
    (sink, passes): (Sink, TrailerFilter<'_>),
    progress: &impl Progress,
) -> Result<Vec<u8>, RelayError> {
    let mut held = Held { pool, buffer: None, huge: false };
    let mut tail = Vec::new();
    while !source.is_finished() {
        let read = poll_fn(|context| {
            let buffer = held.get();
            let room = buffer.len() - FRONT - BACK;
            let limit = match source {
                // Reading no further than the body keeps a pipelined request in the socket.
                Source::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(room),
                _ => room,
            };
            let polled = from.poll_read(context, &mut buffer[FRONT..FRONT + limit]);
            if polled.is_pending() {
                held.release();
            }
            polled
        });
        let count = read.await.map_err(|e| RelayError::Read(Some(e)))?;
        if count == 0 {
            source.at_end_of_stream(from)?;
            break;
        }
        let buffer = held.get();
        let piece = source.decode(&mut buffer[FRONT..FRONT + count])?;
        if piece.finished && piece.used < count {
            tail.extend_from_slice(&buffer[FRONT + piece.used..FRONT + count]);
        }
        if piece.data > 0 {
            let waited = write_piece(to, sink, buffer, piece.data).await.map_err(RelayError::Write)?;
            progress.moved(piece.data);
            if !waited && count == buffer.len() - FRONT - BACK {
                held.grow();
            }
        }
        if piece.finished {
            break;
        }
    }
    if sink == Sink::Chunked {
        let mut end = Vec::with_capacity(16);
        source.write_end(passes, &mut end);
        to.write_all(&end).await.map_err(RelayError::Write)?;
    }
    Ok(tail)
}

/// Writes data with its framing around it. Tells whether the peer had to be waited for.
async fn write_piece(to: &Stream, sink: Sink, buffer: &mut [u8], length: usize) -> io::Result<bool> {
    let bytes = match sink {
        Sink::Identity => &buffer[FRONT..FRONT + length],
        Sink::Chunked => {
            let mut digits = [0; 18];
            let header = sluice_http1::chunk_header(length, &mut digits);
            let start = FRONT - header.len().min(FRONT);
            buffer[start..FRONT].copy_from_slice(&header[..FRONT - start]);
            let end = FRONT + length + BACK;
            buffer[FRONT + length..end].copy_from_slice(LINE_END);
            &buffer[start..end]
        }
    };
    let (mut done, mut waited) = (0, false);
    poll_fn(|context| {
        let polled = to.poll_write_all(context, bytes, &mut done);
        waited |= polled.is_pending();
        polled
    })
    .await?;
    Ok(waited)
}

/// The buffer of a relay, which is there while it is needed.
struct Held<'p> {
    pool: &'p BufferPool,
    buffer: Option<Box<[u8]>>,
    /// Both sides are fast.
    huge: bool,
}

impl Held<'_> {
    fn get(&mut self) -> &mut [u8] {
        let (pool, huge) = (self.pool, self.huge);
        self.buffer.get_or_insert_with(|| if huge { pool.huge() } else { None }.unwrap_or_else(|| pool.large()))
    }

    /// Gives the buffer back. What is in it is lost.
    fn release(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.put(buffer);
        }
    }

    /// Changes to a larger buffer, if there is one.
    fn grow(&mut self) {
        if !self.huge {
            self.huge = true;
            self.release();
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.release();
    }
}
