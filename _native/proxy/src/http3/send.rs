//! The sending half of a request's stream.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;

use bytes::Bytes;
use quinn::SendStream;
use sluice_http3::{Code, kind, write_frame_header};

use super::head;

/// Sends frames as the client's windows allow. The stream is borrowed only while it is polled.
pub(crate) struct Sender {
    stream: RefCell<SendStream>,
    ended: Cell<bool>,
}

impl Sender {
    pub(super) fn new(stream: SendStream) -> Self {
        Self { stream: RefCell::new(stream), ended: Cell::new(false) }
    }

    async fn write(&self, pieces: &mut [Bytes]) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = pieces.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let written = poll_fn(|context| {
                let mut stream = self.stream.borrow_mut();
                pin!(stream.write_chunks(rest)).poll(context)
            });
            done += written.await?.chunks;
        }
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        self.ended.set(true);
        self.stream.borrow_mut().finish().map_err(|_| io::ErrorKind::NotConnected.into())
    }

    async fn frame(&self, kind: u64, payload: Bytes) -> io::Result<()> {
        let mut header = Vec::with_capacity(sluice_http3::MAX_HEADER);
        write_frame_header(kind, payload.len() as u64, &mut header);
        self.write(&mut [Bytes::from(header), payload]).await
    }

    /// Sends a field section.
    pub(super) async fn section(&self, section: Vec<u8>, last: bool) -> io::Result<()> {
        self.frame(kind::HEADERS, Bytes::from(section)).await?;
        if last { self.end() } else { Ok(()) }
    }

    /// Sends all of `data`. With `last` the stream ends with it.
    pub(crate) async fn send(&self, data: Bytes, last: bool) -> io::Result<()> {
        if !data.is_empty() {
            self.frame(kind::DATA, data).await?;
        }
        if last { self.end() } else { Ok(()) }
    }

    /// Ends the stream with trailers, if there are any.
    pub(crate) async fn finish(&self, trailers: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
        if trailers.is_empty() {
            return self.end();
        }
        self.section(head::trailer_section(trailers), true).await
    }

    /// Breaks the stream off. Without effect on one that has ended.
    pub(super) fn reset(&self, code: Code) {
        if !self.ended.replace(true) {
            let _already_closed = self.stream.borrow_mut().reset(super::varint(code));
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Dropping the stream itself would end it in order, and an answer that was cut would look complete.
        self.reset(Code::H3_INTERNAL_ERROR);
    }
}
