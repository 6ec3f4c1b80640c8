//! How untrusted bytes are written into logs and headers, so that one record stays one line and one value.

/// Longest part of a value that is logged, in bytes.
pub const MAX_VALUE: usize = 8 * 1024;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What kind of text a value is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A text log: see [`text`].
    Text,
    /// The inside of a JSON string: see [`json`].
    Json,
    /// A header field: see [`field`].
    Field,
    /// A body that nobody interprets: bytes as they are.
    Raw,
    /// The text of an HTML document: see [`html`].
    Html,
}

impl Style {
    /// Append a value that somebody else may have chosen.
    pub fn value(self, out: &mut Vec<u8>, value: &[u8]) {
        match self {
            Self::Text => text(out, value),
            Self::Json => json(out, value),
            Self::Field => field(out, value),
            Self::Raw => out.extend_from_slice(value),
            Self::Html => html(out, value),
        }
    }

    /// Append a part of the format itself.
    pub fn literal(self, out: &mut Vec<u8>, literal: &str) {
        match self {
            Self::Json => json(out, literal.as_bytes()),
            Self::Text | Self::Field | Self::Raw | Self::Html => out.extend_from_slice(literal.as_bytes()),
        }
    }
}

/// Append `value` for a text log: bytes outside printable ASCII, quotes and backslashes become `\xNN`.
pub fn text(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Append `value` as the inside of a JSON string (RFC 8259 section 7). Invalid UTF-8 becomes U+FFFD.
pub fn json(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            json_char(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // The line separators are legal in JSON, but some readers of "one record per line" split at them.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let code = character as usize;
            let digit = |shift: usize| HEX[code >> shift & 15];
            out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Append `value` to a field value, without the bytes that a field value cannot have.
pub fn field(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(value.iter().copied().filter(|&byte| crate::token::is_field_byte(byte)));
}

/// Append `value` as text of an HTML document or a quoted attribute of it.
pub fn html(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ => out.push(byte),
        }
    }
}

/// Append `path` for a Location: everything that is not a URI character is percent-encoded (RFC 3986 section 2).
pub fn uri(out: &mut Vec<u8>, path: &[u8]) {
    for &byte in path {
        let plain =
            matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}');
        if plain {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)].to_ascii_uppercase()));
        }
    }
}

/// The first `max` bytes of `value`, or fewer when a UTF-8 character would be cut.
#[must_use]
pub fn truncate(value: &[u8], max: usize) -> &[u8] {
    if value.len() <= max {
        return value;
    }
    let start = |at: &usize| value[*at] & 0xc0 != 0x80;
    // A character has at most three continuation bytes; more of them are junk, which is cut anywhere.
    let end = (max.saturating_sub(3)..=max).rev().find(start).unwrap_or(max);
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(write: fn(&mut Vec<u8>, &[u8]), value: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes() {
        assert_eq!(with(text, b"a\r\n\"\\\x7f\xff~"), "a\\x0d\\x0a\\x22\\x5c\\x7f\\xff~");
        assert_eq!(with(json, b"a\r\n\t\"\\\x01\x7f\xffz"), "a\\r\\n\\t\\\"\\\\\\u0001\\u007f\u{fffd}z");
        assert_eq!(with(json, "é\u{85}\u{2028}".as_bytes()), "é\\u0085\\u2028");
        assert_eq!(with(uri, b"/a b\r\nSet-Cookie:x\"\xc3"), "/a%20b%0D%0ASet-Cookie:x%22%C3");
        assert_eq!(with(field, b"a\r\nb\0c\td"), "abc\td");
        assert_eq!(with(html, b"<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn truncation_keeps_characters() {
        assert_eq!(truncate(b"abc", 3), b"abc");
        assert_eq!(truncate(b"abcd", 3), b"abc");
        assert_eq!(truncate("aé".as_bytes(), 2), b"a");
        assert_eq!(truncate("a€b".as_bytes(), 3), b"a");
        assert_eq!(truncate(&[0x80; 10], 5), &[0x80; 5]);
        assert_eq!(truncate(b"abc", 0), b"");
    }

    proptest! {
        #[test]
        fn no_line_break_survives(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            for write in [text, json, field, uri] {
                let mut out = Vec::new();
                write(&mut out, &value);
                prop_assert!(!out.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}
