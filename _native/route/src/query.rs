//! Query parameters (WHATWG URL, application/x-www-form-urlencoded), decoded exactly once.

use std::borrow::Cow;

/// The decoded value of the first parameter called `name`; a parameter without `=` has the empty value.
pub(crate) fn first<'q>(query: &'q [u8], name: &[u8]) -> Option<Cow<'q, [u8]>> {
    query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        (decode(key).as_ref() == name).then(|| decode(value))
    })
}

/// Replaces `+` by a space and `%XX` by its byte; a malformed escape stays as it is.
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::{decode, first};

    #[test]
    fn finds_the_first() {
        let query = b"a=1&&b=2&a=3&c&d=&=e";
        assert_eq!(first(query, b"a").as_deref(), Some(&b"1"[..]));
        assert_eq!(first(query, b"c").as_deref(), Some(&b""[..]));
        assert_eq!(first(query, b"d").as_deref(), Some(&b""[..]));
        assert_eq!(first(query, b"").as_deref(), Some(&b"e"[..]));
        assert_eq!(first(query, b"x"), None);
        assert_eq!(first(b"%61=%2561+", b"a").as_deref(), Some(&b"%61 "[..]));
    }

    #[test]
    fn malformed_escapes_stay() {
        assert_eq!(decode(b"%").as_ref(), b"%");
        assert_eq!(decode(b"%4").as_ref(), b"%4");
        assert_eq!(decode(b"%zz%41").as_ref(), b"%zzA");
    }
}
