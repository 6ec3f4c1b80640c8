//! Base64 as a stream (RFC 4648 section 4). Padding may end any group of four digits, as gRPC-Web pads every message
//! by itself.

use super::Transform;
use crate::body::Trailers;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const INVALID: &str = "its base64 is malformed";

/// The value of a digit.
const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Reads base64; what is no whole group waits for the rest of it.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    group: [u8; 4],
    filled: usize,
}

impl Transform for Decoder {
    fn piece(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        out.reserve(data.len() / 4 * 3 + 3);
        for &digit in data {
            self.group[self.filled] = digit;
            self.filled += 1;
            if self.filled == 4 {
                self.filled = 0;
                decode(self.group, out).ok_or(INVALID)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Trailers, _: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.filled == 0 { Ok(()) } else { Err(INVALID) }
    }
}

/// Appends one to three bytes. Bits that padding cuts off must be zero, so that there is one text for each message.
fn decode([a, b, c, d]: [u8; 4], out: &mut Vec<u8>) -> Option<()> {
    let (first, second) = (value(a)?, value(b)?);
    out.push(first << 2 | second >> 4);
    if (c, d) == (b'=', b'=') {
        return (second << 4 == 0).then_some(());
    }
    let third = value(c)?;
    out.push(second << 4 | third >> 2);
    if d == b'=' {
        return (third << 6 == 0).then_some(());
    }
    out.push(third << 6 | value(d)?);
    Some(())
}

/// Writes base64; up to two bytes wait for what makes a group of them.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    group: [u8; 3],
    filled: usize,
}

impl Encoder {
    pub(crate) fn push(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.reserve(data.len() / 3 * 4 + 4);
        for &byte in data {
            self.group[self.filled] = byte;
            self.filled += 1;
            if self.filled == 3 {
                self.flush(out);
            }
        }
    }

    /// Writes what waits, padded.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return;
        }
        self.group[filled..].fill(0);
        let [a, b, c] = self.group.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for index in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            out.push(if index > filled { b'=' } else { digit });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Result<Vec<u8>, &'static str> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.piece(piece, &mut out)?;
        }
        decoder.end(&mut Vec::new(), &mut out).map(|()| out)
    }

    #[test]
    fn both_ways_as_in_the_rfc_however_it_is_cut() {
        let table =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (data, text) in table {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(decoded(&[first, second]).as_deref(), Ok(data.as_bytes()));
            }
            for cut in 0..=data.len() {
                let (mut encoder, mut out) = (Encoder::default(), Vec::new());
                encoder.push(&data.as_bytes()[..cut], &mut out);
                encoder.push(&data.as_bytes()[cut..], &mut out);
                encoder.flush(&mut out);
                assert_eq!(out, text.as_bytes());
            }
        }
    }

    #[test]
    fn messages_padded_one_by_one() {
        assert_eq!(decoded(&[b"Zg==Zm8=", b"Zm9v"]), Ok(b"ffofoo".to_vec()));
    }

    #[test]
    fn what_is_no_base64() {
        for text in ["Z", "Zg=", "Zg", "Z===", "====", "Zg=a", "Zh==", "Zm9=", "Zm9v\n", "Zm-_", "Zm\u{e4}v"] {
            assert_eq!(decoded(&[text.as_bytes()]), Err(INVALID), "{text}");
        }
    }
}
