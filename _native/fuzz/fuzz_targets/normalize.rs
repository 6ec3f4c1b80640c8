//! Normal forms: fixed points without dot segments, whatever the policy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_http1::{EscapedSlashes, NormalizePolicy, PathParameters, normalize_host, normalize_path};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    let policy = NormalizePolicy {
        merge_slashes: choice & 1 != 0,
        escaped_slashes: if choice & 2 != 0 { EscapedSlashes::Keep } else { EscapedSlashes::Reject },
        path_parameters: if choice & 4 != 0 { PathParameters::Keep } else { PathParameters::Reject },
        ..NormalizePolicy::default()
    };
    path(bytes, &policy);
    host(bytes);
});

fn path(raw: &[u8], policy: &NormalizePolicy) {
    let Ok(once) = normalize_path(raw, policy) else {
        return;
    };
    let twice = normalize_path(&once, policy).expect("a normal path is sound");
    assert_eq!(once, twice);
    assert!(once.starts_with(b"/") && once.len() <= raw.len());
    assert!(once.iter().all(|byte| (b'!'..=b'~').contains(byte)));
    assert!(!once.split(|&byte| byte == b'/').any(|segment| segment == b"." || segment == b".."));
    assert!(!policy.merge_slashes || !once.windows(2).any(|pair| pair == b"//"));
    // What an upstream that decodes once and then resolves would see must not climb either.
    let decoded = decode_slashes(&once);
    assert!(!decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b".."));
}

fn decode_slashes(path: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(path).replace("%2F", "/").replace("%5C", "\\").into_bytes()
}

fn host(raw: &[u8]) {
    let Ok(parts) = normalize_host(raw) else {
        return;
    };
    let again = normalize_host(&parts.host).expect("a normal host is sound");
    assert_eq!((&parts.host, None), (&again.host, again.port));
}
