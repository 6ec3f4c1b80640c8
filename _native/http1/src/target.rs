//! The request target (RFC 9112 3.2): one scan finds its end, its query and whether its path can be other than normal.

use crate::reason::RejectReason;

/// Features of a path that decide how much work its normalisation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathFlags(u8);

impl PathFlags {
    /// An escape.
    pub(crate) const PERCENT: u8 = 1;
    /// A `;`.
    pub(crate) const SEMICOLON: u8 = 2;
    const SLASH: u8 = 4;
    const DOT: u8 = 8;
    /// `//` somewhere.
    pub(crate) const SLASH_SLASH: u8 = Self::SLASH << 2;
    /// `/.` somewhere, which may begin a dot segment.
    pub(crate) const SLASH_DOT: u8 = Self::DOT << 2;

    /// Whether a feature is there.
    #[inline]
    pub(crate) const fn has(self, feature: u8) -> bool {
        self.0 & feature != 0
    }
}

/// Marks bytes that end or spoil a path.
const STOP: u8 = 0x80;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = match index as u8 {
            b'%' => PathFlags::PERCENT,
            b';' => PathFlags::SEMICOLON,
            b'/' => PathFlags::SLASH,
            b'.' => PathFlags::DOT,
            0..=b' ' | b'#' | b'?' | b'\\' | 0x7F.. => STOP,
            _ => 0,
        };
        index += 1;
    }
    table
};

/// The end of the path at the start of `bytes` and its features; it ends at a space, a CR, LF, `?`, or with the input.
pub(crate) fn scan_path(bytes: &[u8]) -> Result<(usize, PathFlags), RejectReason> {
    let mut flags = 0;
    let mut after_slash = false;
    for (index, &byte) in bytes.iter().enumerate() {
        let class = CLASS[usize::from(byte)];
        if class == STOP {
            return match byte {
                b' ' | b'\r' | b'\n' | b'?' => Ok((index, PathFlags(flags))),
                b'\\' => Err(RejectReason::BackslashInPath),
                byte => Err(bad_byte(byte)),
            };
        }
        flags |= class;
        if after_slash {
            flags |= (class & (PathFlags::SLASH | PathFlags::DOT)) << 2;
        }
        after_slash = class == PathFlags::SLASH;
    }
    Ok((bytes.len(), PathFlags(flags)))
}

/// The end of the query at the start of `bytes`; it ends at a space, a CR, LF, or with the input.
pub(crate) fn scan_query(bytes: &[u8]) -> Result<usize, RejectReason> {
    match bytes.iter().position(|byte| !matches!(byte, b'!'..=b'"' | b'$'..=b'~')) {
        None => Ok(bytes.len()),
        Some(end) => match bytes[end] {
            b' ' | b'\r' | b'\n' => Ok(end),
            byte => Err(bad_byte(byte)),
        },
    }
}

const fn bad_byte(byte: u8) -> RejectReason {
    match byte {
        b'#' => RejectReason::FragmentInTarget,
        0x80.. => RejectReason::NonAsciiTarget,
        _ => RejectReason::InvalidTarget,
    }
}

/// Splits an absolute-form target without its query: the range of the authority, which ends where the path begins.
///
/// # Errors
///
/// [`RejectReason::InvalidTarget`] unless the scheme is `http` or `https` (RFC 9112 3.2.2).
pub(crate) fn authority_range(target: &[u8]) -> Result<(usize, usize), RejectReason> {
    let starts_with =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let start = if starts_with(b"http://") {
        7
    } else if starts_with(b"https://") {
        8
    } else {
        return Err(RejectReason::InvalidTarget);
    };
    let end = memchr::memchr(b'/', &target[start..]).map_or(target.len(), |offset| start + offset);
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use super::{PathFlags, authority_range, scan_path, scan_query};
    use crate::RejectReason::{self, *};

    #[test]
    fn path_features() {
        for (path, end, features) in [
            (&b"/plain/path x"[..], 11, 0),
            (b"/a?b", 2, 0),
            (b"/a.b", 4, 0),
            (b"/.a", 3, PathFlags::SLASH_DOT),
            (b"//", 2, PathFlags::SLASH_SLASH),
            (b"/%41;\r", 5, PathFlags::PERCENT | PathFlags::SEMICOLON),
        ] {
            let (found, flags) = scan_path(path).unwrap();
            assert_eq!(found, end);
            let interesting = PathFlags::PERCENT | PathFlags::SEMICOLON | PathFlags::SLASH_SLASH | PathFlags::SLASH_DOT;
            assert_eq!(flags.0 & interesting, features, "{path:?}");
        }
    }

    #[test]
    fn queries() {
        for (query, expected) in [
            (&b"a=1&b=%zz|\\{} x"[..], Ok(13)),
            (b"", Ok(0)),
            (b"a?b/c", Ok(5)),
            (b"a#", Err(FragmentInTarget)),
            (b"\xC3", Err(NonAsciiTarget)),
            (b"a\x7f", Err(InvalidTarget)),
            (b"a\tb", Err(InvalidTarget)),
        ] as [(&[u8], Result<usize, RejectReason>); 7]
        {
            assert_eq!(scan_query(query), expected, "{query:?}");
        }
    }

    #[test]
    fn absolute_forms() {
        for (target, expected) in [
            ("http://a/b", Ok((7, 8))),
            ("HTTPS://a", Ok((8, 9))),
            ("http:///b", Ok((7, 7))),
            ("ftp://a/", Err(InvalidTarget)),
            ("http:/a", Err(InvalidTarget)),
            ("a:80", Err(InvalidTarget)),
        ] {
            assert_eq!(authority_range(target.as_bytes()), expected, "{target}");
        }
    }
}
