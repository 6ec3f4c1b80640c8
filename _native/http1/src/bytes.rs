//! Byte classes, as tables built at compile time.

/// Builds a table from a predicate over bytes.
macro_rules! table {
    ($pattern:pat) => {{
        let mut table = [false; 256];
        let mut index = 0;
        while index < 256 {
            table[index] = matches!(index as u8, $pattern);
            index += 1;
        }
        table
    }};
}

static TOKEN: [bool; 256] = table!(
    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
);

/// Whether `byte` may be in a token (RFC 9110 5.6.2).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether `bytes` is a token: not empty, no delimiter (RFC 9110 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` may be in a field value or a reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5).
#[inline]
pub(crate) const fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Whether `byte` is unreserved (RFC 3986 2.3), so that its escape means the same.
#[inline]
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// The value of a hexadecimal digit.
#[inline]
pub(crate) const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Strips optional white space, SP and HTAB only (RFC 9110 5.6.3).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma list, trimmed, empty ones included (RFC 9110 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows)
}

#[cfg(test)]
mod tests {
    use super::{hex_value, is_field_byte, is_token, list, trim_ows};

    #[test]
    fn token() {
        for (name, bytes, expected) in [
            ("plain", &b"x-a"[..], true),
            ("empty", b"", false),
            ("space", b"a b", false),
            ("colon", b"a:", false),
            ("high", b"\x85", false),
            ("nul", b"a\0", false),
        ] {
            assert_eq!(is_token(bytes), expected, "{name}");
        }
    }

    #[test]
    fn field_bytes_are_visible_or_blank() {
        for byte in 0..=255_u8 {
            assert_eq!(is_field_byte(byte), byte == 9 || (byte >= 32 && byte != 127), "{byte}");
        }
    }

    #[test]
    fn hex() {
        for byte in 0..=255_u8 {
            let expected = char::from(byte).to_digit(16).filter(|_| byte.is_ascii()).map(|value| value as u8);
            assert_eq!(hex_value(byte), expected, "{byte}");
        }
    }

    #[test]
    fn lists_and_white_space() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b"\x0ba"), b"\x0ba", "VT is not white space");
        assert_eq!(list(b"a , b,,c").collect::<Vec<_>>(), [&b"a"[..], b"b", b"", b"c"]);
    }
}
