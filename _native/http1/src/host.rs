//! Hosts (RFC 3986 3.2.2, narrowed to what DNS and IP literals need).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::digits::parse_digits;
use crate::reason::RejectReason;

/// Longest host in bytes: a DNS name of 253 and a trailing dot.
const MAX_HOST: usize = 254;

/// A host that was split from its port and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostParts<'a> {
    /// Lower case, without port and trailing dot; IPv6 literals keep their brackets.
    pub host: Cow<'a, [u8]>,
    /// The explicit port.
    pub port: Option<u16>,
}

/// Splits and checks a `Host` value or `:authority`, and folds it for comparison.
///
/// # Errors
///
/// [`RejectReason::InvalidHost`] for an empty or malformed host, user information, or a port outside 1..=65535.
pub fn normalize_host(raw: &[u8]) -> Result<HostParts<'_>, RejectReason> {
    let split = split_host(raw)?;
    let host = &raw[..split.len];
    let host = if split.upper { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) };
    Ok(HostParts { host, port: split.port })
}

/// Where the host of an authority ends and what is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostSplit {
    /// Bytes of the host, without trailing dot.
    pub(crate) len: usize,
    /// Whether it has to be lowered.
    pub(crate) upper: bool,
    pub(crate) port: Option<u16>,
}

/// Checks an authority without copying it.
pub(crate) fn split_host(raw: &[u8]) -> Result<HostSplit, RejectReason> {
    if raw.first() == Some(&b'[') {
        return split_literal(raw);
    }
    let mut upper = false;
    let mut end = raw.len();
    let mut previous = b'.';
    for (index, &byte) in raw.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => upper = true,
            // Empty labels are refused: resolvers and matchers disagree about them.
            b'.' if previous != b'.' => {}
            b':' => {
                end = index;
                break;
            }
            _ => return Err(RejectReason::InvalidHost),
        }
        previous = byte;
    }
    if end == 0 || end > MAX_HOST {
        return Err(RejectReason::InvalidHost);
    }
    let port = parse_port(&raw[end..])?;
    let len = if previous == b'.' { end - 1 } else { end };
    Ok(HostSplit { len, upper, port })
}

/// An IPv6 literal; zone identifiers mean nothing on another host, and future address versions do not exist yet.
fn split_literal(raw: &[u8]) -> Result<HostSplit, RejectReason> {
    let end = memchr::memchr(b']', raw).ok_or(RejectReason::InvalidHost)?;
    let address = std::str::from_utf8(&raw[1..end]).map_err(|_| RejectReason::InvalidHost)?;
    address.parse::<Ipv6Addr>().map_err(|_| RejectReason::InvalidHost)?;
    let len = end + 1;
    Ok(HostSplit { len, upper: raw[..len].iter().any(u8::is_ascii_uppercase), port: parse_port(&raw[len..])? })
}

/// The port in `:DIGITS`, or none for nothing.
fn parse_port(rest: &[u8]) -> Result<Option<u16>, RejectReason> {
    match rest {
        [] => Ok(None),
        [b':', digits @ ..] if digits.len() <= 5 => parse_digits(digits)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|&port| port != 0)
            .map(Some)
            .ok_or(RejectReason::InvalidHost),
        _ => Err(RejectReason::InvalidHost),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cow, normalize_host};

    #[test]
    fn accepted() {
        for (raw, host, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.com.:8080", "example.com", Some(8080)),
            ("a_b-c", "a_b-c", None),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
        ] {
            let parts = normalize_host(raw.as_bytes()).unwrap();
            assert_eq!((parts.host.as_ref(), parts.port), (host.as_bytes(), port), "{raw}");
        }
        let plain = normalize_host(b"example.com:80").unwrap();
        assert!(matches!(plain.host, Cow::Borrowed(_)), "the plain case does not copy");
    }

    #[test]
    fn refused() {
        for raw in [
            "",
            ".",
            "a..b",
            ".a",
            "a..",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:000080",
            "a:80:80",
            "u@a",
            "a/b",
            "a\\b",
            "a b",
            "a\0",
            "a,b",
            "a%41",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "[]",
            "[1.2.3.4]",
            "\u{e9}",
            "a?b",
            "a#b",
            "*",
        ] {
            assert!(normalize_host(raw.as_bytes()).is_err(), "{raw:?}");
        }
        assert!(normalize_host("a".repeat(255).as_bytes()).is_err(), "too long");
    }
}
