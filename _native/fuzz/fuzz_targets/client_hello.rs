//! Hellos: more bytes never take back what fewer bytes told, and names are fit for a table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_policy::client_hello::{FirstBytes, MAX_PEEK, look};

fuzz_target!(|input: &[u8]| {
    let bytes = &input[..input.len().min(MAX_PEEK)];
    let whole = look(bytes);
    for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let part = look(&bytes[..cut]);
        assert!(part == FirstBytes::Incomplete || part == whole, "{cut} of {}", bytes.len());
    }
    if let FirstBytes::Hello(Some(name)) = whole {
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    }
});
