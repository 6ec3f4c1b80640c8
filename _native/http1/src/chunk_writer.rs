//! Writing chunks (RFC 9112 7.1).

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The line in front of a chunk of `len` bytes; the data and CRLF follow.
///
/// `len` must not be zero, which would end the body: write [`LAST_CHUNK`] for that.
pub fn chunk_header(len: usize, out: &mut [u8; 18]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    debug_assert_ne!(len, 0, "an empty chunk ends the body");
    out[16] = b'\r';
    out[17] = b'\n';
    let mut start = 16;
    let mut rest = len;
    while start > 0 {
        start -= 1;
        out[start] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    &out[start..]
}

#[cfg(test)]
mod tests {
    use super::chunk_header;

    #[test]
    fn headers() {
        for (len, expected) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (255, "ff\r\n"),
            (16 * 1024, "4000\r\n"),
            (usize::MAX, "ffffffffffffffff\r\n"),
        ] {
            assert_eq!(chunk_header(len, &mut [0; 18]), expected.as_bytes());
        }
    }
}
