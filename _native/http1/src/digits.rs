//! Numbers from the wire.

/// The value of a non-empty run of decimal digits; `None` for anything else, and above `u64::MAX`.
///
/// Parsers of programming languages take signs, blanks, underscores or prefixes; two parsers that disagree on a
/// length are a smuggling hole (RFC 9110 8.6 has `1*DIGIT`).
pub fn parse_digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::parse_digits;

    #[test]
    fn digits_only() {
        for (name, bytes, expected) in [
            ("zero", &b"0"[..], Some(0)),
            ("plain", b"1234", Some(1234)),
            ("leading zero is decimal", b"010", Some(10)),
            ("maximum", b"18446744073709551615", Some(u64::MAX)),
            ("2^64", b"18446744073709551616", None),
            ("empty", b"", None),
            ("plus", b"+1", None),
            ("minus", b"-1", None),
            ("hexadecimal", b"0x10", None),
            ("underscore", b"1_0", None),
            ("blank inside", b"1 1", None),
            ("blank around", b" 1", None),
            ("Arabic digit", "\u{661}".as_bytes(), None),
        ] {
            assert_eq!(parse_digits(bytes), expected, "{name}");
        }
    }
}
