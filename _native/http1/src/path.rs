//! The normal form of a path (RFC 3986 6.2.2), reached in one pass and stable under a second one.

use std::borrow::Cow;

use crate::bytes::{hex_value, is_unreserved};
use crate::policy::{EscapedSlashes, NormalizePolicy, PathParameters};
use crate::reason::RejectReason;
use crate::segments::remove_dot_segments;
use crate::target::{PathFlags, scan_path};

/// Brings an absolute path (no query) into the normal form everything downstream uses.
///
/// Escapes of unreserved characters are decoded, other escapes get upper case digits, slashes are merged if the policy
/// says so, and dot segments are removed. A path that is normal already is borrowed.
///
/// # Errors
///
/// The reason why two parsers could disagree about the path, all of status 400.
pub fn normalize_path<'a>(raw: &'a [u8], policy: &NormalizePolicy) -> Result<Cow<'a, [u8]>, RejectReason> {
    let policy = *policy;
    let (end, flags) = scan_path(raw)?;
    if end != raw.len() || raw.first() != Some(&b'/') {
        return Err(RejectReason::InvalidTarget);
    }
    check_parameters(flags, policy)?;
    if !needs_rewrite(flags, policy) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    rewrite_path(raw, policy, &mut out)?;
    Ok(if out == raw { Cow::Borrowed(raw) } else { Cow::Owned(out) })
}

/// Whether a path with these features can differ from its normal form.
#[inline]
pub(crate) const fn needs_rewrite(flags: PathFlags, policy: NormalizePolicy) -> bool {
    flags.has(PathFlags::PERCENT)
        || flags.has(PathFlags::SLASH_DOT)
        || (policy.merge_slashes && flags.has(PathFlags::SLASH_SLASH))
}

/// Applies [`PathParameters`].
#[inline]
pub(crate) fn check_parameters(flags: PathFlags, policy: NormalizePolicy) -> Result<(), RejectReason> {
    if flags.has(PathFlags::SEMICOLON) && policy.path_parameters == PathParameters::Reject {
        return Err(RejectReason::PathParameter);
    }
    Ok(())
}

/// Writes the normal form of a scanned path to `out`, which must be empty; `out` never outgrows `raw`.
pub(crate) fn rewrite_path(raw: &[u8], policy: NormalizePolicy, out: &mut Vec<u8>) -> Result<(), RejectReason> {
    let mut index = 0;
    while let Some(&byte) = raw.get(index) {
        if byte == b'%' {
            decode_escape(&raw[index..], policy, out)?;
            index += 3;
            continue;
        }
        if byte != b'/' || !policy.merge_slashes || out.last() != Some(&b'/') {
            out.push(byte);
        }
        index += 1;
    }
    remove_dot_segments(out)
}

/// Handles the escape at the start of `rest`.
fn decode_escape(rest: &[u8], policy: NormalizePolicy, out: &mut Vec<u8>) -> Result<(), RejectReason> {
    let value = escape_value(rest).ok_or(RejectReason::BadPercentEncoding)?;
    match value {
        0 => return Err(RejectReason::EncodedNul),
        b'/' | b'\\' if policy.escaped_slashes == EscapedSlashes::Reject => return Err(RejectReason::EscapedSlash),
        _ if is_unreserved(value) => {
            out.push(value);
            return Ok(());
        }
        0xC0.. if is_overlong(value, rest.get(3..).and_then(escape_value)) => return Err(RejectReason::OverlongUtf8),
        _ => {}
    }
    out.push(b'%');
    out.extend(rest.iter().skip(1).take(2).map(u8::to_ascii_uppercase));
    Ok(())
}

/// The value of the escape at the start of `rest`, if there is a well-formed one.
fn escape_value(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'%', high, low, ..] => Some((hex_value(*high)? << 4) | hex_value(*low)?),
        _ => None,
    }
}

/// Whether these are the first two bytes of a UTF-8 sequence longer than its character needs (RFC 3629 3, 10).
///
/// Lone bytes are not refused: paths in Latin-1 exist, and no decoder reads `%C0` alone as ASCII.
const fn is_overlong(first: u8, second: Option<u8>) -> bool {
    matches!(
        (first, second),
        (0xC0 | 0xC1, Some(0x80..=0xBF))
            | (0xE0, Some(0x80..=0x9F))
            | (0xF0, Some(0x80..=0x8F))
            | (0xF8, Some(0x80..=0x87))
            | (0xFC, Some(0x80..=0x83))
    )
}

#[cfg(test)]
mod tests {
    use super::{Cow, normalize_path};
    use crate::RejectReason::{self, *};
    use crate::policy::{EscapedSlashes, NormalizePolicy, PathParameters};

    fn normal(path: &str, policy: NormalizePolicy) -> Result<String, RejectReason> {
        normalize_path(path.as_bytes(), &policy).map(|path| String::from_utf8(path.into_owned()).unwrap())
    }

    fn merging() -> NormalizePolicy {
        NormalizePolicy { merge_slashes: true, ..NormalizePolicy::default() }
    }

    #[test]
    fn strict_policy() {
        for (path, expected) in [
            ("/", Ok("/")),
            ("/a/b.c", Ok("/a/b.c")),
            ("/admin/", Ok("/admin/")),
            ("/a/../admin", Ok("/admin")),
            ("/a/%2e%2E/admin", Ok("/admin")),
            ("/a/.%2e/admin", Ok("/admin")),
            ("/a/./admin", Ok("/a/admin")),
            ("/a/.", Ok("/a/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/..", Ok("/")),
            ("//admin", Ok("/admin")),
            ("/a//../b", Ok("/b")),
            ("/.well-known/x", Ok("/.well-known/x")),
            ("/...", Ok("/...")),
            ("/%61%2d%7E", Ok("/a-~")),
            ("/%252e%252E", Ok("/%252e%252E")),
            ("/%25%3b%23%3f", Ok("/%25%3B%23%3F")),
            ("/caf%c3%a9", Ok("/caf%C3%A9")),
            ("/a;v=1/b", Ok("/a;v=1/b")),
            ("/a:b@c!$&'()*+,=", Ok("/a:b@c!$&'()*+,=")),
            ("/..", Err(PathAboveRoot)),
            ("/a/../../b", Err(PathAboveRoot)),
            ("/%2e%2e/b", Err(PathAboveRoot)),
            ("/a%2Fb", Err(EscapedSlash)),
            ("/a%5cb", Err(EscapedSlash)),
            ("/a%00", Err(EncodedNul)),
            ("/%", Err(BadPercentEncoding)),
            ("/%2", Err(BadPercentEncoding)),
            ("/%zz", Err(BadPercentEncoding)),
            ("/%+1", Err(BadPercentEncoding)),
            ("/%C0%AF", Err(OverlongUtf8)),
            ("/%c1%9c", Err(OverlongUtf8)),
            ("/%E0%80%AF", Err(OverlongUtf8)),
            ("/%F0%80%80%AF", Err(OverlongUtf8)),
            ("/%C0", Ok("/%C0")),
            ("/a\\b", Err(BackslashInPath)),
            ("/\u{e9}", Err(NonAsciiTarget)),
            ("/a#b", Err(FragmentInTarget)),
            ("/a b", Err(InvalidTarget)),
            ("/a?b", Err(InvalidTarget)),
            ("/a\0", Err(InvalidTarget)),
            ("a", Err(InvalidTarget)),
            ("", Err(InvalidTarget)),
            ("/..;/admin", Err(AmbiguousDotSegment)),
            ("/a/..;x=1", Err(AmbiguousDotSegment)),
            ("/.;/admin", Err(AmbiguousDotSegment)),
            ("/%2e%2e%3b/admin", Err(AmbiguousDotSegment)),
        ] {
            assert_eq!(normal(path, merging()), expected.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn relaxed_policy() {
        let policy = NormalizePolicy { escaped_slashes: EscapedSlashes::Keep, ..NormalizePolicy::default() };
        for (path, expected) in [
            ("//admin", Ok("//admin")),
            ("/a//../b", Ok("/a/b")),
            ("/group%2fproject", Ok("/group%2Fproject")),
            ("/a%5cb", Ok("/a%5Cb")),
            ("/a%00", Err(EncodedNul)),
            ("/a%2f..%2fb", Err(AmbiguousDotSegment)),
            ("/..%2fb", Err(AmbiguousDotSegment)),
            ("/..%5Cb", Err(AmbiguousDotSegment)),
            ("/a%2f.", Err(AmbiguousDotSegment)),
            ("/a%2f..b", Ok("/a%2F..b")),
        ] {
            assert_eq!(normal(path, policy), expected.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn parameters_can_be_refused() {
        let policy = NormalizePolicy { path_parameters: PathParameters::Reject, ..NormalizePolicy::default() };
        assert_eq!(normal("/a;b", policy), Err(PathParameter));
        assert_eq!(normal("/a%3bb", policy), Ok("/a%3Bb".to_owned()));
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in ["/a/b", "/.well-known/x", "/a%2C", "/..a"] {
            let normal = normalize_path(path.as_bytes(), &NormalizePolicy::default());
            assert!(matches!(normal, Ok(Cow::Borrowed(_))), "{path}");
        }
    }
}
