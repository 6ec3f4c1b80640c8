//! The body of a request: DATA frames, then perhaps trailers (RFC 9114 section 4.1).

use std::rc::Rc;

use bytes::Bytes;
use sluice_http3::{Code, FrameHeader, kind};

use super::connection::Arrival;
use super::frames::{Broken, Frames};
use super::head::{self, Trailers};
use crate::relay::RelayError;

/// A body that arrives. The window of its stream opens as its pieces are taken.
pub(crate) struct Http3Body {
    arrival: Rc<Arrival>,
    frames: Frames,
    /// The header of its first frame, if it was read.
    first: Option<FrameHeader>,
    /// What `Content-Length` announced and has not come yet.
    announced: Option<u64>,
    /// Longest trailer section.
    limit: usize,
    trailers: Trailers,
}

impl Http3Body {
    pub(super) fn new(
        arrival: &Rc<Arrival>,
        frames: Frames,
        first: Option<FrameHeader>,
        announced: Option<u64>,
        limit: usize,
    ) -> Self {
        Self { arrival: Rc::clone(arrival), frames, first, announced, limit, trailers: Trailers::new() }
    }

    /// The next piece and whether nothing follows it, which the last frame does not tell. `None` is the end.
    pub(crate) async fn data(&mut self) -> Result<Option<(Bytes, bool)>, RelayError> {
        match self.piece().await {
            Ok(Some(piece)) => {
                if let Some(left) = &mut self.announced {
                    *left = left
                        .checked_sub(piece.len() as u64)
                        .ok_or(RelayError::Framing("it is longer than its Content-Length"))?;
                }
                Ok(Some((piece, false)))
            }
            // RFC 9114 section 4.1.2: the length of all DATA frames is the announced one, or the request is malformed.
            Ok(None) if self.announced.is_some_and(|left| left > 0) => {
                Err(RelayError::Framing("it is shorter than its Content-Length"))
            }
            Ok(None) => Ok(None),
            Err(Wrong::Stream(broken)) => {
                self.arrival.broken(broken);
                Err(RelayError::Read(None))
            }
            Err(Wrong::Trailers) => Err(RelayError::Framing("its trailers are malformed")),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Wrong> {
        loop {
            let header = match self.first.take() {
                Some(first) => Some(first),
                None => match self.frames.payload().await? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.frames.next().await?,
                },
            };
            match header {
                None => return Ok(None),
                Some(header) if header.kind == kind::DATA => {}
                Some(header) if header.kind == kind::HEADERS => {
                    if header.length > self.limit as u64 {
                        return Err(Wrong::Trailers);
                    }
                    let section = self.frames.collect().await?;
                    self.trailers = head::trailers(&section, self.limit)?.ok_or(Wrong::Trailers)?;
                    // Nothing but the end may follow.
                    return match self.frames.next().await? {
                        None => Ok(None),
                        Some(_) => Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED).into()),
                    };
                }
                Some(_) => return Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED).into()),
            }
        }
    }

    /// The trailers, once the data is over.
    pub(crate) fn trailers(&mut self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<> {
        std::mem::take(&mut self.trailers).into_iter()
    }
}

/// What is wrong with a body.
enum Wrong {
    Stream(Broken),
    Trailers,
}

impl From<Broken> for Wrong {
    fn from(broken: Broken) -> Self {
        Self::Stream(broken)
    }
}
