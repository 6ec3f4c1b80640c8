//! The frames of one stream as they arrive (RFC 9114 section 7). Never more than one read of it is held.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};
use sluice_http3::{Code, FrameHeader, FrameReader, kind, varint};

use crate::shared::Shared;

/// Why a stream cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The client broke it off, or the connection is gone.
    Gone,
    /// The client breaks a rule of the protocol: the connection must end.
    Protocol(Code),
}

pub(super) struct Frames {
    shared: Rc<Shared>,
    stream: RecvStream,
    held: Bytes,
    reader: FrameReader,
    /// Bytes of the current frame's payload that are to come.
    left: u64,
    ended: bool,
    /// Why it cannot be read further: the library says so once only.
    broken: Option<Broken>,
}

impl Frames {
    pub(super) fn new(shared: &Rc<Shared>, stream: RecvStream) -> Self {
        Self {
            shared: Rc::clone(shared),
            stream,
            held: Bytes::new(),
            reader: FrameReader::default(),
            left: 0,
            ended: false,
            broken: None,
        }
    }

    /// Reads what is there. Waiting holds no buffer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        if let Some(broken) = self.broken {
            return Poll::Ready(Err(broken));
        }
        if self.ended || !self.held.is_empty() {
            return Poll::Ready(Ok(!self.held.is_empty()));
        }
        let pool = &self.shared.buffers;
        let mut buffer = pool.large();
        let polled = self.stream.poll_read(context, &mut buffer);
        let polled = polled.map(|read| match read {
            Ok(count) => {
                self.held = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                self.ended = count == 0;
                Ok(count > 0)
            }
            Err(ReadError::ClosedStream) => {
                self.ended = true;
                Ok(false)
            }
            Err(_) => {
                self.broken = Some(Broken::Gone);
                Err(Broken::Gone)
            }
        });
        pool.put(buffer);
        polled
    }

    /// Makes sure that bytes are held; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, Broken> {
        poll_fn(|context| self.poll_fill(context)).await
    }

    /// Nothing more comes, as far as is known now.
    pub(super) fn has_ended(&mut self) -> bool {
        let polled = self.poll_fill(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Ok(false)))
    }

    /// An integer; `None` when the stream ends first. Only before the first frame.
    pub(super) async fn integer(&mut self) -> Result<Option<u64>, Broken> {
        let mut bytes = Vec::new();
        while self.fill().await? {
            bytes.push(self.held.get_u8());
            if let Some((value, _)) = varint::read(&bytes) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Reads and drops everything to the end of the stream.
    pub(super) async fn discard(&mut self) -> Result<(), Broken> {
        while self.fill().await? {
            self.held.clear();
        }
        Ok(())
    }

    /// The next frame that this protocol knows; others are passed over (section 9). `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<FrameHeader>, Broken> {
        loop {
            while self.payload().await?.is_some() {}
            if !self.fill().await? {
                let whole = self.reader.is_empty();
                return if whole { Ok(None) } else { Err(Broken::Protocol(Code::H3_FRAME_ERROR)) };
            }
            let (taken, header) = self.reader.read(&self.held);
            self.held.advance(taken);
            let Some(header) = header else { continue };
            self.left = header.length;
            match header.kind {
                kind::DATA
                | kind::HEADERS
                | kind::CANCEL_PUSH
                | kind::SETTINGS
                | kind::PUSH_PROMISE
                | kind::GOAWAY
                | kind::MAX_PUSH_ID => return Ok(Some(header)),
                reserved if kind::is_reserved(reserved) => return Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED)),
                _ => {}
            }
        }
    }

    /// The next piece of the current frame's payload; `None` behind it. A stream must not end within a frame (section
    /// 7.1).
    pub(super) async fn payload(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.left == 0 {
            return Ok(None);
        }
        if !self.fill().await? {
            return Err(Broken::Protocol(Code::H3_FRAME_ERROR));
        }
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.held.len());
        self.left -= count as u64;
        Ok(Some(self.held.split_to(count)))
    }

    /// The whole payload of the current frame. The caller has seen to its length.
    pub(super) async fn collect(&mut self) -> Result<Vec<u8>, Broken> {
        let mut all = Vec::with_capacity(usize::try_from(self.left).unwrap_or_default());
        while let Some(piece) = self.payload().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// Asks the client to send no more. Without effect on a stream that has ended.
    pub(super) fn stop(&mut self, code: Code) {
        let _already_ended = self.stream.stop(super::varint(code));
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // Whatever is still on its way is not wanted, which is no error (section 4.1).
        self.stop(Code::H3_NO_ERROR);
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
