//! Frames and types of streams (RFC 9114 sections 6.2 and 7).

use crate::varint;

/// Types of frames (RFC 9114 section 11.2.1).
pub mod kind {
    /// A part of a body.
    pub const DATA: u64 = 0x00;
    /// A field section.
    pub const HEADERS: u64 = 0x01;
    /// A push is not wanted.
    pub const CANCEL_PUSH: u64 = 0x03;
    /// Settings.
    pub const SETTINGS: u64 = 0x04;
    /// A push is announced; a client never does that.
    pub const PUSH_PROMISE: u64 = 0x05;
    /// The connection ends.
    pub const GOAWAY: u64 = 0x07;
    /// How many pushes are allowed.
    pub const MAX_PUSH_ID: u64 = 0x0d;

    /// Types of HTTP/2 that must not appear (RFC 9114 section 7.2.8).
    pub fn is_reserved(kind: u64) -> bool {
        matches!(kind, 0x02 | 0x06 | 0x08 | 0x09)
    }
}

/// Types of unidirectional streams (RFC 9114 section 11.2.4, RFC 9204 section 4.2).
pub mod uni_stream {
    /// Carries settings and what concerns the connection.
    pub const CONTROL: u64 = 0x00;
    /// A push; a client never opens one.
    pub const PUSH: u64 = 0x01;
    /// Instructions of the peer's QPACK encoder.
    pub const QPACK_ENCODER: u64 = 0x02;
    /// Instructions of the peer's QPACK decoder.
    pub const QPACK_DECODER: u64 = 0x03;
}

/// Longest header of a frame: two integers of 8 bytes.
pub const MAX_HEADER: usize = 16;

/// Type and length of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// See [`kind`].
    pub kind: u64,
    /// Bytes of payload.
    pub length: u64,
}

/// Reads the header of one frame from pieces of a stream.
#[derive(Debug, Default)]
pub struct FrameReader {
    held: [u8; MAX_HEADER],
    filled: usize,
}

impl FrameReader {
    /// Takes bytes from the front of `input` until the header is complete: the number of bytes taken and the header.
    /// Afterwards the reader is ready for the next frame.
    pub fn read(&mut self, input: &[u8]) -> (usize, Option<FrameHeader>) {
        for (taken, &byte) in input.iter().enumerate() {
            self.held[self.filled] = byte;
            self.filled += 1;
            let header = self.header();
            if header.is_some() {
                self.filled = 0;
                return (taken + 1, header);
            }
        }
        (input.len(), None)
    }

    /// No part of a header was read.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    fn header(&self) -> Option<FrameHeader> {
        let held = &self.held[..self.filled];
        let (kind, used) = varint::read(held)?;
        let (length, _) = varint::read(&held[used..])?;
        Some(FrameHeader { kind, length })
    }
}

/// Appends the header of a frame.
pub fn write_frame_header(kind: u64, length: u64, out: &mut Vec<u8>) {
    varint::write(kind, out);
    varint::write(length, out);
}

/// Appends a GOAWAY frame: requests on streams from `stream` on are not processed (RFC 9114 section 5.2).
pub fn write_goaway(stream: u64, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(8);
    varint::write(stream, &mut payload);
    write_frame_header(kind::GOAWAY, payload.len() as u64, out);
    out.extend_from_slice(&payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_in_pieces() {
        let mut bytes = Vec::new();
        write_frame_header(kind::HEADERS, 300, &mut bytes);
        write_frame_header(0x1f * 7 + 0x21, varint::MAX, &mut bytes);
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        for byte in &bytes {
            let (taken, header) = reader.read(std::slice::from_ref(byte));
            assert_eq!(taken, 1);
            seen.extend(header);
        }
        assert!(reader.is_empty());
        let expected = [(kind::HEADERS, 300), (0x1f * 7 + 0x21, varint::MAX)];
        assert_eq!(seen, expected.map(|(kind, length)| FrameHeader { kind, length }));
    }

    #[test]
    fn the_payload_is_left_alone() {
        let mut reader = FrameReader::default();
        assert_eq!(reader.read(&[0, 2, 7, 8]), (2, Some(FrameHeader { kind: 0, length: 2 })));
        // The longest forms of small numbers.
        let long = [0xc0, 0, 0, 0, 0, 0, 0, 1, 0xc0, 0, 0, 0, 0, 0, 0, 9, 5];
        assert_eq!(reader.read(&long), (16, Some(FrameHeader { kind: 1, length: 9 })));
        assert_eq!(reader.read(&[]), (0, None));
    }

    #[test]
    fn a_goaway() {
        let mut out = Vec::new();
        write_goaway(400, &mut out);
        assert_eq!(out, [7, 2, 0x41, 0x90]);
    }
}
