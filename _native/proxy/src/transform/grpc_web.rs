//! The body of a gRPC-Web answer: messages as they are or in base64, then the trailers as a message of their own.

use sluice_policy::grpc_status;

use super::base64::Encoder;
use super::{HeadChange, Transform, grpc};
use crate::body::Trailers;

/// First byte of the message that holds the trailers.
const TRAILERS: u8 = 0x80;

/// A gRPC answer as gRPC-Web.
#[derive(Default)]
pub(crate) struct WebAnswer {
    text: Option<Text>,
}

/// Messages in base64, padded one by one: clients decode a message as soon as its last group is there.
#[derive(Default)]
struct Text {
    encoder: Encoder,
    /// Flags and length of the message that begins.
    prefix: [u8; 5],
    prefix_filled: usize,
    /// Bytes that the current message still has.
    left: u32,
}

impl Text {
    fn push(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while !data.is_empty() {
            let wanted = if self.left == 0 { 5 - self.prefix_filled } else { self.left as usize };
            let (piece, rest) = data.split_at(wanted.min(data.len()));
            self.encoder.push(piece, out);
            if self.left > 0 {
                // Not more than `left`, which is 32 bits long.
                self.left -= piece.len() as u32;
                if self.left == 0 {
                    self.encoder.flush(out);
                }
            } else {
                self.prefix[self.prefix_filled..self.prefix_filled + piece.len()].copy_from_slice(piece);
                self.prefix_filled += piece.len();
                if self.prefix_filled == 5 {
                    self.prefix_filled = 0;
                    let [_, length @ ..] = self.prefix;
                    self.left = u32::from_be_bytes(length);
                    if self.left == 0 {
                        self.encoder.flush(out);
                    }
                }
            }
            data = rest;
        }
    }
}

impl WebAnswer {
    pub(crate) fn new(text: bool) -> Self {
        Self { text: text.then(Text::default) }
    }
}

impl Transform for WebAnswer {
    fn piece(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        match &mut self.text {
            Some(text) => text.push(data, out),
            None => out.extend_from_slice(data),
        }
        Ok(())
    }

    fn end(&mut self, trailers: &mut Trailers, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if trailers.is_empty() {
            // The status was in the head, or the answer has none.
            if let Some(text) = &mut self.text {
                text.encoder.flush(out);
            }
            return Ok(());
        }
        let mut block = Vec::new();
        for (name, value) in trailers.drain(..) {
            block.extend(name.iter().map(u8::to_ascii_lowercase));
            block.push(b':');
            block.extend(value);
            block.extend_from_slice(b"\r\n");
        }
        let mut message = vec![TRAILERS];
        message.extend(u32::try_from(block.len()).map_err(|_| "its trailers are too long")?.to_be_bytes());
        message.extend(block);
        match &mut self.text {
            Some(text) => {
                text.encoder.flush(out);
                text.encoder.push(&message, out);
                text.encoder.flush(out);
            }
            None => out.extend(message),
        }
        Ok(())
    }
}

/// The change of an answer's head. `kind` is the upstream's content type.
pub(crate) fn head_change(kind: &[u8], text: bool) -> HeadChange {
    let suffix = ["application/grpc", "application/grpc-web"].into_iter().find_map(|prefix| grpc::suffix(kind, prefix));
    let suffix = suffix.filter(|suffix| !suffix.is_empty()).unwrap_or(b"+proto");
    let prefix: &[u8] = if text { b"application/grpc-web-text" } else { b"application/grpc-web" };
    let mut change = HeadChange::default();
    change.set("content-type", &[prefix, suffix].concat());
    change
}

/// An answer that is none of gRPC, as gRPC-Web would say it: the body becomes the message of the status.
pub(crate) fn foreign_change(status: u16, body: &[u8], text: bool) -> HeadChange {
    let mut change = head_change(b"", text);
    change.body = true;
    change.set("grpc-status", itoa::Buffer::new().format(grpc_status::status(status)).as_bytes());
    if !body.is_empty() {
        let mut message = Vec::new();
        grpc_status::message(&mut message, body);
        change.set("grpc-message", &message);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u8, data: &[u8]) -> Vec<u8> {
        [&[flags][..], &u32::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
    }

    #[test]
    fn text_is_padded_at_the_end_of_each_message_however_it_is_cut() {
        let body = [message(0, b"a"), message(0, b""), message(0, b"hello")].concat();
        let expected: Vec<u8> = [message(0, b"a"), message(0, b""), message(0, b"hello"), message(0x80, b"a:b\r\n")]
            .iter()
            .flat_map(|message| crate::tunnel::base64(message))
            .collect();
        for size in 1..=body.len() {
            let (mut answer, mut out) = (WebAnswer::new(true), Vec::new());
            for piece in body.chunks(size) {
                answer.piece(piece, &mut out).unwrap();
            }
            let mut trailers = vec![(b"A".to_vec(), b"b".to_vec())];
            answer.end(&mut trailers, &mut out).unwrap();
            assert!(trailers.is_empty());
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected), "{size}");
        }
    }

    #[test]
    fn a_message_can_be_used_as_soon_as_it_is_there() {
        let (mut answer, mut out) = (WebAnswer::new(true), Vec::new());
        answer.piece(&message(0, b"ab"), &mut out).unwrap();
        assert_eq!(out, crate::tunnel::base64(&message(0, b"ab")));
    }
}
