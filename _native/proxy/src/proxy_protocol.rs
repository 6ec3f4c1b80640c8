//! The PROXY protocol's header in front of a connection: who the client of the load balancer is, read and written.
//!
//! Source: "The PROXY protocol", versions 1 and 2 (haproxy.org). A listener that expects the header refuses connections
//! without one: otherwise everybody who reaches the port could choose its own address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sluice_http1::parse_digits;
use sluice_snapshot::ProxyVersion;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 line (section 2.1), line end included.
const LINE_LIMIT: usize = 107;
/// Longest version 2 header taken: addresses and a reasonable amount of TLVs.
pub(crate) const HEADER_LIMIT: usize = 4096;

/// Both ends of a connection as the header names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) source: SocketAddr,
    /// Where it connected to.
    pub(crate) destination: SocketAddr,
}

/// A header that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes to skip.
    pub(crate) length: usize,
    /// `None` for health checks of the balancer itself (`UNKNOWN`, `LOCAL`).
    pub(crate) ends: Option<Ends>,
}

/// The bytes are no PROXY header: the connection must be closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a header from the front of `bytes`; `None` while it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if bytes.first() == Some(&b'\r') { version_2(bytes) } else { version_1(bytes) }
}

fn version_1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let start = b"PROXY ";
    let seen = bytes.len().min(start.len());
    if bytes[..seen] != start[..seen] {
        return Err(Malformed);
    }
    let Some(end) = bytes.iter().take(LINE_LIMIT).position(|&byte| byte == b'\n') else {
        return if bytes.len() >= LINE_LIMIT { Err(Malformed) } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let mut parts = text.split(' ').skip(1);
    let family = parts.next().ok_or(Malformed)?;
    let length = end + 1;
    if family == "UNKNOWN" {
        return Ok(Some(Header { length, ends: None }));
    }
    let mut part = || parts.next().ok_or(Malformed);
    let source: IpAddr = part()?.parse().map_err(|_| Malformed)?;
    let destination: IpAddr = part()?.parse().map_err(|_| Malformed)?;
    let source_port = port(part()?)?;
    let destination_port = port(part()?)?;
    let of_family = |address: IpAddr| match family {
        "TCP4" => address.is_ipv4(),
        "TCP6" => address.is_ipv6(),
        _ => false,
    };
    if !of_family(source) || !of_family(destination) || parts.next().is_some() {
        return Err(Malformed);
    }
    let ends = Ends {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    };
    Ok(Some(Header { length, ends: Some(ends) }))
}

fn port(text: &str) -> Result<u16, Malformed> {
    parse_digits(text.as_bytes()).and_then(|number| u16::try_from(number).ok()).ok_or(Malformed)
}

fn version_2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes[..seen] != SIGNATURE[..seen] {
        return Err(Malformed);
    }
    let Some(&[version_command, family, high, low]) = bytes.get(12..16) else { return Ok(None) };
    let length = 16 + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_LIMIT || version_command >> 4 != 2 {
        return Err(Malformed);
    }
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let ends = match (version_command & 15, family) {
        // LOCAL: a health check of the balancer.
        (0, _) => None,
        (1, 0x11) => Some(addresses::<4>(body)?),
        (1, 0x21) => Some(addresses::<16>(body)?),
        // Unspecified, UDP and UNIX families say nothing about a TCP client.
        (1, _) => None,
        _ => return Err(Malformed),
    };
    Ok(Some(Header { length, ends }))
}

/// Two addresses of `N` bytes each and their ports; what follows are extensions (TLVs).
fn addresses<const N: usize>(body: &[u8]) -> Result<Ends, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let (&source, rest) = body.split_first_chunk::<N>().ok_or(Malformed)?;
    let (&destination, rest) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    let &[a, b, c, d] = rest.first_chunk::<4>().ok_or(Malformed)?;
    Ok(Ends {
        source: SocketAddr::new(source.into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination.into(), u16::from_be_bytes([c, d])),
    })
}

/// Appends the header of a connection from `ends.source` to `ends.destination`.
pub(crate) fn write(version: ProxyVersion, ends: Ends, out: &mut Vec<u8>) {
    let (source, destination) = (ends.source.ip().to_canonical(), ends.destination.ip().to_canonical());
    let ports = [ends.source.port(), ends.destination.port()];
    let pair = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Pair::V4(source, destination),
        // One family for both: an IPv4 address has a form in IPv6 (RFC 4291 section 2.5.5.2).
        (source, destination) => Pair::V6(mapped(source), mapped(destination)),
    };
    match version {
        ProxyVersion::V1 => {
            let text = match pair {
                Pair::V4(source, destination) => format!("TCP4 {source} {destination}"),
                Pair::V6(source, destination) => format!("TCP6 {source} {destination}"),
            };
            out.extend_from_slice(format!("PROXY {text} {} {}\r\n", ports[0], ports[1]).as_bytes());
        }
        ProxyVersion::V2 => {
            out.extend_from_slice(SIGNATURE);
            match pair {
                Pair::V4(source, destination) => {
                    out.extend_from_slice(&[0x21, 0x11, 0, 12]);
                    out.extend_from_slice(&source.octets());
                    out.extend_from_slice(&destination.octets());
                }
                Pair::V6(source, destination) => {
                    out.extend_from_slice(&[0x21, 0x21, 0, 36]);
                    out.extend_from_slice(&source.octets());
                    out.extend_from_slice(&destination.octets());
                }
            }
            out.extend(ports.into_iter().flat_map(u16::to_be_bytes));
        }
    }
}

/// Two addresses of one family.
enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[0x20 | command, family]);
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn good_headers() {
        let v4 = v2(1, 0x11, &[10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80]);
        let table: [(&[u8], Option<[&str; 2]>); 5] = [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some(["192.0.2.1:56324", "192.0.2.2:443"])),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Some(["[2001:db8::1]:1", "[2001:db8::2]:2"])),
            (b"PROXY UNKNOWN whatever\r\n", None),
            (&v4, Some(["10.0.0.1:12345", "10.0.0.2:80"])),
            (&v2(0, 0, b""), None),
        ];
        for (bytes, named) in table {
            let ends = named.map(|[source, destination]| ends(source, destination));
            let expected = Header { length: bytes.len(), ends };
            let mut with_request = bytes.to_vec();
            with_request.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(parse(&with_request), Ok(Some(expected)), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
        }
    }

    #[test]
    fn written_headers_are_read_as_they_were_meant() {
        let table = [
            (ends("192.0.2.1:1", "198.51.100.1:2"), ends("192.0.2.1:1", "198.51.100.1:2")),
            (ends("[::ffff:192.0.2.1]:1", "198.51.100.1:2"), ends("192.0.2.1:1", "198.51.100.1:2")),
            (ends("[2001:db8::1]:65535", "[::1]:1"), ends("[2001:db8::1]:65535", "[::1]:1")),
            (ends("[2001:db8::1]:1", "192.0.2.1:2"), ends("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2")),
        ];
        for (said, read) in table {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let mut bytes = Vec::new();
                write(version, said, &mut bytes);
                assert_eq!(parse(&bytes), Ok(Some(Header { length: bytes.len(), ends: Some(read) })), "{said:?}");
            }
        }
    }

    #[test]
    fn bad_headers() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat();
        let table: [&[u8]; 11] = [
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            &long,
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(2, 0x11, &[0; 12]),
            b"\r\n\r\n\0\r\nQUIX\n",
        ];
        for bytes in table {
            assert_eq!(parse(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
