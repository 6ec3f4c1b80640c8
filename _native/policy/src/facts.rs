//! What is known of a request when headers are edited and when it is logged, and how operators read it.

use crate::civil::Civil;
use crate::escape::Style;
use crate::format::{Headers, Operator, RequestField};
use crate::forwarded::Scheme;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Facts of a request, as the gateway decided them.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Path and query as they go upstream.
    pub path: &'a [u8],
    /// Path and query as they came, when a rewrite changed them.
    pub original_path: Option<&'a [u8]>,
    /// Host of the request.
    pub authority: &'a [u8],
    /// Scheme as the client saw it.
    pub scheme: Scheme,
    /// `HTTP/1.1`
    pub protocol: &'a str,
    /// Arrival, nanoseconds since 1970 in UTC.
    pub start_unix_ns: u64,
    /// Trusted client address.
    pub client: IpAddr,
    /// Port of the client; the peer's when the client is not the peer.
    pub client_port: u16,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// X-Request-Id as it goes upstream; empty if there is none.
    pub request_id: &'a [u8],
    /// X-Forwarded-For as it goes upstream.
    pub forwarded_for: Option<&'a [u8]>,
    /// The other headers, as they came.
    pub headers: &'a dyn Headers,
}

/// What an operator stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing: the field is absent.
    Missing,
    /// Bytes that somebody else may have chosen.
    Bytes(&'a [u8]),
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// An address and a port.
    Socket(SocketAddr),
    /// A moment in Unix nanoseconds with its format.
    Time(u64, Option<&'a str>),
}

impl<'a> Value<'a> {
    pub(crate) fn bytes(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Missing, Self::Bytes)
    }

    /// Append the value; of bytes up to `max`, escaped for `style`. Returns false if there is no value.
    pub(crate) fn write(self, out: &mut Vec<u8>, max: usize, style: Style) -> bool {
        match self {
            Self::Missing => return false,
            Self::Bytes(bytes) => style.value(out, crate::escape::truncate(bytes, max)),
            Self::Number(number) => crate::civil::digits(out, number, 1),
            // Writing into a vector cannot fail.
            Self::Address(address) => drop(write!(out, "{address}")),
            Self::Socket(socket) => drop(write!(out, "{socket}")),
            Self::Time(at, None) => Civil::from_unix_ns(at).write_rfc3339_ms(out),
            Self::Time(at, Some(format)) => {
                let mut text = Vec::new();
                Civil::from_unix_ns(at).write(at, format, &mut text);
                style.value(out, &text);
            }
        }
        true
    }
}

impl<'a> RequestFacts<'a> {
    /// The value of an operator that only needs the request; `None` for the others.
    #[must_use]
    pub fn value(&self, operator: &'a Operator) -> Option<Value<'a>> {
        Some(match operator {
            Operator::Request(first, second) => {
                let found = self.field(first).or_else(|| second.as_ref().and_then(|field| self.field(field)));
                Value::bytes(found)
            }
            Operator::StartTime(format) => Value::Time(self.start_unix_ns, format.as_deref()),
            Operator::Protocol => Value::Bytes(self.protocol.as_bytes()),
            Operator::RemoteAddress => Value::Socket(SocketAddr::new(self.client, self.client_port)),
            Operator::RemoteAddressWithoutPort => Value::Address(self.client),
            Operator::DirectAddressWithoutPort => Value::Address(self.peer),
            _ => return None,
        })
    }

    fn field(&self, field: &'a RequestField) -> Option<&'a [u8]> {
        let some = |value: &'a [u8]| (!value.is_empty()).then_some(value);
        match field {
            RequestField::Method => some(self.method),
            RequestField::Path => some(self.path),
            RequestField::Authority => some(self.authority),
            RequestField::Scheme => Some(self.scheme.as_str().as_bytes()),
            RequestField::OriginalPath => self.original_path,
            RequestField::RequestId => some(self.request_id),
            RequestField::ForwardedFor => self.forwarded_for,
            RequestField::Header(name) => self.headers.get(name),
        }
    }
}
