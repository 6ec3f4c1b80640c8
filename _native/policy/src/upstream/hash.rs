//! Hash keys that are the same in every worker and replica, whatever CPU or version it runs.
//!
//! Source: Envoy, `RouteAction.HashPolicy`. As there, xxHash64 with seed 0 over the value of a cookie or header, or over
//! the text of an address without its port. All users of one key keep one endpoint, so nothing here is a secret.

use std::io::Write;
use std::net::IpAddr;
use twox_hash::XxHash64;

/// Longest text of an address: eight groups of four digits, with the last two as an IPv4 address.
const MAX_ADDRESS: usize = 45;

/// The key of a header: the hash of its value.
#[must_use]
pub fn header_key(value: &[u8]) -> u64 {
    XxHash64::oneshot(0, value)
}

/// The key of the cookie `name` in a Cookie field value, if it is there and not empty. The first of several counts, and
/// quotes around the value do not (RFC 6265 section 4.1.1).
#[must_use]
pub fn cookie_key(field: &[u8], name: &[u8]) -> Option<u64> {
    let value = field.split(|&byte| byte == b';').find_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        (pair[..at].trim_ascii() == name).then(|| pair[at + 1..].trim_ascii())
    })?;
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    (!bare.is_empty()).then(|| header_key(bare))
}

/// The key of the address of a client. An IPv4 address mapped into IPv6 is the IPv4 address.
#[must_use]
pub fn address_key(address: IpAddr) -> u64 {
    let mut text = [0; MAX_ADDRESS];
    let mut rest = &mut text[..];
    // The buffer holds every address, so writing does not fail; if it did, the hash would cover what was written.
    let _ = write!(rest, "{}", address.to_canonical());
    let left = rest.len();
    header_key(&text[..MAX_ADDRESS - left])
}
