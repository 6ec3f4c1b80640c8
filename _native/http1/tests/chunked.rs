//! Chunked bodies: refusals, trailers, limits.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use sluice_http1::{ChunkError, ChunkedDecoder, Decoded, LAST_CHUNK, chunk_header};

/// Decodes the whole text at once: data, and what is left behind the body.
fn decode(text: &[u8]) -> Result<(Vec<u8>, Vec<u8>, ChunkedDecoder), ChunkError> {
    let mut decoder = ChunkedDecoder::new();
    let mut buf = text.to_vec();
    let step = decoder.decode(&mut buf)?;
    assert_eq!(step.finished, decoder.is_finished());
    let rest = buf[step.consumed..].to_vec();
    assert!(step.finished || rest.is_empty());
    buf.truncate(step.data_len);
    Ok((buf, rest, decoder))
}

#[test]
fn accepted() {
    for (name, text, data, rest) in [
        ("empty body", "0\r\n\r\n", "", ""),
        ("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("pipelined", "5\r\nhello\r\n0\r\n\r\nGET /", "hello", "GET /"),
        ("upper and lower case", "A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789", ""),
        ("leading zeros", "0000000000000001\r\nx\r\n0\r\n\r\n", "x", ""),
        ("extension", "1;a=\"b c\"\r\nx\r\n0;z\r\n\r\n", "x", ""),
        ("data looks like chunks", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", ""),
        ("unfinished", "5\r\nhel", "hel", ""),
    ] {
        let (found, left, _) = decode(text.as_bytes()).expect(name);
        assert_eq!((found.as_slice(), left.as_slice()), (data.as_bytes(), rest.as_bytes()), "{name}");
    }
}

#[test]
fn refused() {
    use ChunkError::*;
    for (name, text, error) in [
        ("prefix", "0x1\r\n", Size),
        ("sign", "+1\r\n", Size),
        ("minus", "-1\r\n", Size),
        ("underscore", "1_0\r\n", Size),
        ("empty", "\r\n", Size),
        ("only extension", ";a\r\n", Size),
        ("blank in front", " 1\r\n", Size),
        ("blank behind", "1 \r\n", Size),
        ("blank before extension", "1 ;a\r\n", Size),
        ("17 digits", "00000000000000001\r\n", Size),
        ("LF behind size", "1\nx", LineEnd),
        ("CR without LF", "1\rx", LineEnd),
        ("LF in extension", "1;a\nx", LineEnd),
        ("CR in extension", "1;a\rb", LineEnd),
        ("NUL in extension", "1;\0\r\n", Extension),
        ("data too long", "1\r\nxy\r\n", LineEnd),
        ("LF behind data", "1\r\nx\n", LineEnd),
        ("CR X behind data", "1\r\nx\rX", LineEnd),
        ("trailer LF", "0\r\n\n", LineEnd),
        ("trailer CR", "0\r\na: b\rc", LineEnd),
        ("trailer blank", "0\r\na : b\r\n", Trailer),
        ("trailer folded", "0\r\na: b\r\n c\r\n", Trailer),
        ("trailer NUL", "0\r\na: \0", Trailer),
        ("trailer without colon", "0\r\nGET / HTTP/1.1\r\n", Trailer),
    ] {
        assert_eq!(decode(text.as_bytes()).expect_err(name), error, "{name}");
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = ChunkedDecoder::new();
    assert_eq!(decoder.decode(&mut b"x".to_vec()), Err(ChunkError::Size));
    assert_eq!(decoder.decode(&mut b"0\r\n\r\n".to_vec()), Err(ChunkError::Size));
    assert_eq!(decoder.decode(&mut []), Err(ChunkError::Size));
}

#[test]
fn nothing_is_eaten_after_the_end() {
    let (_, _, mut decoder) = decode(LAST_CHUNK).unwrap();
    let finished = Decoded { finished: true, ..Decoded::default() };
    assert_eq!(decoder.decode(&mut b"GET".to_vec()), Ok(finished));
}

#[test]
fn trailers_without_the_forbidden() {
    let (_, _, decoder) = decode(b"0\r\ngrpc-status: 0 \r\nContent-Length: 9\r\nX-A:\r\n\r\n").unwrap();
    let expected = [(b"grpc-status".to_vec(), b"0".to_vec()), (b"X-A".to_vec(), Vec::new())];
    assert_eq!(decoder.trailers(), expected);
}

#[test]
fn limits() {
    let extension = |len: usize| format!("1;{}\r\n", "a".repeat(len));
    assert!(decode(extension(255).as_bytes()).is_ok());
    assert_eq!(decode(extension(256).as_bytes()).unwrap_err(), ChunkError::ExtensionTooLarge);
    let drip = format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(100);
    assert_eq!(decode(drip.as_bytes()).unwrap_err(), ChunkError::ExtensionTooLarge);
    let long = format!("0\r\na: {}", "b".repeat(9000));
    assert_eq!(decode(long.as_bytes()).unwrap_err(), ChunkError::TrailersTooLarge);
    let many = format!("0\r\n{}", "a: b\r\n".repeat(33));
    assert_eq!(decode(many.as_bytes()).unwrap_err(), ChunkError::TrailersTooLarge);
}

#[test]
fn the_largest_size_is_only_waited_for() {
    let (data, _, _) = decode(b"ffffffffffffffff\r\nabc").unwrap();
    assert_eq!(data, b"abc");
}

#[test]
fn what_is_written_can_be_read() {
    let data = vec![b'x'; 1000];
    let mut text = chunk_header(data.len(), &mut [0; 18]).to_vec();
    text.extend_from_slice(&data);
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(LAST_CHUNK);
    assert_eq!(decode(&text).unwrap().0, data);
}
