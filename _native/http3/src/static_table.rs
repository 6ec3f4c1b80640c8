//! The static table (RFC 9204 appendix A).

use std::collections::HashMap;
use std::sync::LazyLock;

type Pair = (&'static [u8], &'static [u8]);

#[rustfmt::skip]
static FIELDS: [Pair; 99] = [
    (b":authority", b""),
    (b":path", b"/"),
    (b"age", b"0"),
    (b"content-disposition", b""),
    (b"content-length", b"0"),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"referer", b""),
    (b"set-cookie", b""),
    (b":method", b"CONNECT"),
    (b":method", b"DELETE"),
    (b":method", b"GET"),
    (b":method", b"HEAD"),
    (b":method", b"OPTIONS"),
    (b":method", b"POST"),
    (b":method", b"PUT"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"103"),
    (b":status", b"200"),
    (b":status", b"304"),
    (b":status", b"404"),
    (b":status", b"503"),
    (b"accept", b"*/*"),
    (b"accept", b"application/dns-message"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-ranges", b"bytes"),
    (b"access-control-allow-headers", b"cache-control"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-allow-origin", b"*"),
    (b"cache-control", b"max-age=0"),
    (b"cache-control", b"max-age=2592000"),
    (b"cache-control", b"max-age=604800"),
    (b"cache-control", b"no-cache"),
    (b"cache-control", b"no-store"),
    (b"cache-control", b"public, max-age=31536000"),
    (b"content-encoding", b"br"),
    (b"content-encoding", b"gzip"),
    (b"content-type", b"application/dns-message"),
    (b"content-type", b"application/javascript"),
    (b"content-type", b"application/json"),
    (b"content-type", b"application/x-www-form-urlencoded"),
    (b"content-type", b"image/gif"),
    (b"content-type", b"image/jpeg"),
    (b"content-type", b"image/png"),
    (b"content-type", b"text/css"),
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-type", b"text/plain"),
    (b"content-type", b"text/plain;charset=utf-8"),
    (b"range", b"bytes=0-"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains; preload"),
    (b"vary", b"accept-encoding"),
    (b"vary", b"origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-xss-protection", b"1; mode=block"),
    (b":status", b"100"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"302"),
    (b":status", b"400"),
    (b":status", b"403"),
    (b":status", b"421"),
    (b":status", b"425"),
    (b":status", b"500"),
    (b"accept-language", b""),
    (b"access-control-allow-credentials", b"FALSE"),
    (b"access-control-allow-credentials", b"TRUE"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-allow-methods", b"get"),
    (b"access-control-allow-methods", b"get, post, options"),
    (b"access-control-allow-methods", b"options"),
    (b"access-control-expose-headers", b"content-length"),
    (b"access-control-request-headers", b"content-type"),
    (b"access-control-request-method", b"get"),
    (b"access-control-request-method", b"post"),
    (b"alt-svc", b"clear"),
    (b"authorization", b""),
    (b"content-security-policy", b"script-src 'none'; object-src 'none'; base-uri 'none'"),
    (b"early-data", b"1"),
    (b"expect-ct", b""),
    (b"forwarded", b""),
    (b"if-range", b""),
    (b"origin", b""),
    (b"purpose", b"prefetch"),
    (b"server", b""),
    (b"timing-allow-origin", b"*"),
    (b"upgrade-insecure-requests", b"1"),
    (b"user-agent", b""),
    (b"x-forwarded-for", b""),
    (b"x-frame-options", b"deny"),
    (b"x-frame-options", b"sameorigin"),
];

/// Positions of each name.
static NAMES: LazyLock<HashMap<&'static [u8], Vec<u8>>> = LazyLock::new(|| {
    let mut names: HashMap<_, Vec<u8>> = HashMap::with_capacity(FIELDS.len());
    for (index, (name, _)) in (0..).zip(FIELDS) {
        names.entry(name).or_default().push(index);
    }
    names
});

/// The field of an index.
pub(crate) fn get(index: u64) -> Option<Pair> {
    FIELDS.get(usize::try_from(index).ok()?).copied()
}

/// Where a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The whole field.
    Field(u64),
    /// The name only.
    Name(u64),
    Nowhere,
}

/// Looks for a field; its name is in lower case.
pub(crate) fn find(name: &[u8], value: &[u8]) -> Place {
    let Some(positions) = NAMES.get(name) else { return Place::Nowhere };
    let whole = positions.iter().find(|&&index| FIELDS.get(usize::from(index)).is_some_and(|field| field.1 == value));
    match (whole, positions.first()) {
        (Some(&index), _) => Place::Field(u64::from(index)),
        (None, Some(&index)) => Place::Name(u64::from(index)),
        (None, None) => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_rfc() {
        let corners: [(u64, &[u8], &[u8]); 8] = [
            (0, b":authority", b""),
            (1, b":path", b"/"),
            (17, b":method", b"GET"),
            (25, b":status", b"200"),
            (46, b"content-type", b"application/json"),
            (71, b":status", b"500"),
            (85, b"content-security-policy", b"script-src 'none'; object-src 'none'; base-uri 'none'"),
            (98, b"x-frame-options", b"sameorigin"),
        ];
        for (index, name, value) in corners {
            assert_eq!(get(index), Some((name, value)));
            assert_eq!(find(name, value), Place::Field(index));
        }
        assert_eq!(get(99), None);
    }

    #[test]
    fn names_without_their_value() {
        assert_eq!(find(b":status", b"418"), Place::Name(24));
        assert_eq!(find(b"x-own", b""), Place::Nowhere);
    }
}
