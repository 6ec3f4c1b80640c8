//! The two character classes of RFC 9110 that names and values of fields are made of.

/// Whether `name` is a field name: a non-empty token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` may be part of a token.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// Whether `value` is a field value (RFC 9110 section 5.5): no control characters but tab, no space at either end.
/// Bytes from 0x80 are obs-text and allowed.
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    value.iter().all(|&byte| is_field_byte(byte)) && !blank(value.first()) && !blank(value.last())
}

/// Whether `byte` may be part of a field value.
#[must_use]
pub const fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for good in [&b"x-a"[..], b"A", b"!#$%&'*+-.^_`|~09"] {
            assert!(is_token(good), "{good:?}");
        }
        for bad in [&b""[..], b"a b", b"a:", b":a", b"a\r", b"\xc3\xa9", b"a(b)", b"a,b", b"a/b"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn field_values() {
        for good in [&b""[..], b"a b", b"a\tb", b"\xff", b"\"q\""] {
            assert!(is_field_value(good), "{good:?}");
        }
        for bad in [&b" a"[..], b"a ", b"a\r\nb", b"\0", b"\x7f", b"\t"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
    }
}
