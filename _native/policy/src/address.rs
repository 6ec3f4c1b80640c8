//! Addresses as proxies write them, and which of them are inside a private network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Read one element of X-Forwarded-For: an address, optionally with a port, an IPv6 address optionally in brackets.
///
/// Azure's gateways write ports, RFC 7239 writers bracket IPv6. An IPv4 address mapped into IPv6 is given as IPv4.
/// `None` for everything else (`unknown`, obfuscated names, zones).
#[must_use]
pub fn parse(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    // 39 digits and colons, brackets, port: anything longer cannot be an address.
    if text.len() > 56 {
        return None;
    }
    let address = if let Ok(plain) = text.parse::<IpAddr>() {
        plain
    } else if let Ok(with_port) = text.parse::<SocketAddr>() {
        with_port.ip()
    } else {
        IpAddr::V6(text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?)
    };
    Some(address.to_canonical())
}

/// Whether Envoy calls the address internal: RFC 1918, RFC 4193 (unique local) or loopback.
#[must_use]
pub fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_internal_v4(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_proxies_write_them() {
        for (text, want) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1\t", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(want.parse().unwrap()), "{text}");
        }
        for junk in
            ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:99999", "[1.2.3.4]", "[::1", "::1]"]
        {
            assert_eq!(parse(junk.as_bytes()), None, "{junk}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
        assert_eq!(parse(&[b'1'; 100]), None);
    }

    #[test]
    fn internal_networks() {
        for inside in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "127.0.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.1.1.1",
        ] {
            assert!(is_internal(inside.parse().unwrap()), "{inside}");
        }
        for outside in
            ["11.0.0.1", "172.32.0.1", "192.169.0.1", "8.8.8.8", "2001:db8::1", "fe80::1", "169.254.1.1", "0.0.0.0"]
        {
            assert!(!is_internal(outside.parse().unwrap()), "{outside}");
        }
    }
}
