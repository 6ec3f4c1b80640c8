//! Heads and chunked bodies: no panic, one reading, and no effect of where the input was split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_http1::{
    ChunkError, ChunkedDecoder, HeadLimits, Method, NormalizePolicy, RequestHead, ResponseHead, parse_request,
    parse_response,
};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 3 {
        0 => request(bytes),
        1 => response(bytes),
        _ => chunks(bytes, usize::from(choice / 3) + 1),
    }
});

fn request(bytes: &[u8]) {
    let limits = HeadLimits::default();
    let policy = NormalizePolicy::default();
    let mut head = RequestHead::new();
    let Ok(Some(length)) = parse_request(bytes, &limits, &policy, &mut head) else {
        return;
    };
    let text = &bytes[..length];
    check_line_ends(text);
    assert!(head.path(bytes).starts_with(b"/") || head.path(bytes) == b"*");
    for entry in &head.headers {
        assert!(!entry.name.of(bytes).is_empty());
        assert!(!entry.value.of(bytes).iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
    }
    for end in 0..length.min(256) {
        let seen = parse_request(&bytes[..end], &limits, &policy, &mut RequestHead::new());
        assert_eq!(seen, Ok(None), "a beginning of a sound head is incomplete");
    }
}

fn response(bytes: &[u8]) {
    let mut head = ResponseHead::new();
    let parsed = parse_response(bytes, &HeadLimits::default(), Method::Get, &mut head);
    if let Ok(Some(length)) = parsed {
        check_line_ends(&bytes[..length]);
    }
}

fn check_line_ends(head: &[u8]) {
    let pairs = head.windows(2).filter(|pair| pair == b"\r\n").count();
    let controls = head.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(controls, pairs * 2);
    assert!(head.ends_with(b"\r\n\r\n"));
}

fn chunks(bytes: &[u8], step: usize) {
    assert_eq!(decode(bytes, bytes.len().max(1)), decode(bytes, step));
}

/// Data and bytes eaten, when the input comes in pieces of `step` bytes.
fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
    let mut decoder = ChunkedDecoder::new();
    let mut data = Vec::new();
    let mut eaten = 0;
    for piece in bytes.chunks(step) {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece)?;
        data.extend_from_slice(&piece[..decoded.data_len]);
        eaten += decoded.consumed;
        if decoded.finished {
            return Ok((data, eaten, true));
        }
        assert_eq!(decoded.consumed, piece.len());
    }
    Ok((data, eaten, false))
}
