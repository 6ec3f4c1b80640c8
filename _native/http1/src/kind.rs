//! The fields a gateway treats specially, found by one comparison or two.

/// What a field name means to the gateway.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderKind {
    /// `Host`
    Host,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// `Upgrade`
    Upgrade,
    /// `Keep-Alive`
    KeepAlive,
    /// `Proxy`, which CGI upstreams would read as the setting `HTTP_PROXY`
    Proxy,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Expect`
    Expect,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// Any other `X-Forwarded-*`
    XForwardedOther,
    /// `Forwarded`
    Forwarded,
    /// `X-Real-IP`
    XRealIp,
    /// `X-Request-ID`
    XRequestId,
    /// Any `X-Envoy-*`
    XEnvoy,
    /// `Origin`
    Origin,
    /// `User-Agent`
    UserAgent,
    /// `Cookie`
    Cookie,
    /// `Authorization`
    Authorization,
    /// `Date`
    Date,
    /// `Server`
    Server,
    /// `HTTP2-Settings`
    Http2Settings,
    /// Everything else
    #[default]
    Other,
}

impl HeaderKind {
    /// The kind of a field name, ignoring case.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        let Some(&first) = name.first() else {
            return Self::Other;
        };
        let (expected, kind): (&[u8], Self) = match (first | 0x20, name.len()) {
            (b'a', 13) => (b"authorization", Self::Authorization),
            (b'c', 6) => (b"cookie", Self::Cookie),
            (b'c', 10) => (b"connection", Self::Connection),
            (b'c', 14) => (b"content-length", Self::ContentLength),
            (b'd', 4) => (b"date", Self::Date),
            (b'e', 6) => (b"expect", Self::Expect),
            (b'f', 9) => (b"forwarded", Self::Forwarded),
            (b'h', 4) => (b"host", Self::Host),
            (b'h', 14) => (b"http2-settings", Self::Http2Settings),
            (b'k', 10) => (b"keep-alive", Self::KeepAlive),
            (b'o', 6) => (b"origin", Self::Origin),
            (b'p', 5) => (b"proxy", Self::Proxy),
            (b'p', 16) => (b"proxy-connection", Self::ProxyConnection),
            (b'p', 18) => (b"proxy-authenticate", Self::ProxyAuthenticate),
            (b'p', 19) => (b"proxy-authorization", Self::ProxyAuthorization),
            (b's', 6) => (b"server", Self::Server),
            (b't', 2) => (b"te", Self::Te),
            (b't', 7) => (b"trailer", Self::Trailer),
            (b't', 17) => (b"transfer-encoding", Self::TransferEncoding),
            (b'u', 7) => (b"upgrade", Self::Upgrade),
            (b'u', 10) => (b"user-agent", Self::UserAgent),
            (b'x', _) => return Self::of_extension(name),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(expected) { kind } else { Self::Other }
    }

    fn of_extension(name: &[u8]) -> Self {
        if let Some((prefix, rest)) = name.split_at_checked(12)
            && prefix.eq_ignore_ascii_case(b"x-forwarded-")
        {
            return match rest.len() {
                3 if rest.eq_ignore_ascii_case(b"for") => Self::XForwardedFor,
                4 if rest.eq_ignore_ascii_case(b"host") => Self::XForwardedHost,
                4 if rest.eq_ignore_ascii_case(b"port") => Self::XForwardedPort,
                5 if rest.eq_ignore_ascii_case(b"proto") => Self::XForwardedProto,
                _ => Self::XForwardedOther,
            };
        }
        match name.len() {
            9 if name.eq_ignore_ascii_case(b"x-real-ip") => Self::XRealIp,
            12 if name.eq_ignore_ascii_case(b"x-request-id") => Self::XRequestId,
            8.. if name[..8].eq_ignore_ascii_case(b"x-envoy-") => Self::XEnvoy,
            _ => Self::Other,
        }
    }

    /// Whether the field concerns this connection only, so it is never forwarded (RFC 9110 7.6.1).
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::TransferEncoding
                | Self::Te
                | Self::Trailer
                | Self::Upgrade
                | Self::KeepAlive
                | Self::Proxy
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::Http2Settings
        )
    }

    /// Whether naming the field in `Connection` has no effect: framing, routing, credentials and what the gateway or
    /// a trusted hop says about the client. Removing those would change who the upstream believes is asking.
    #[inline]
    pub const fn is_protected(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::ContentLength
                | Self::TransferEncoding
                | Self::XForwardedFor
                | Self::XForwardedProto
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedOther
                | Self::Forwarded
                | Self::XRealIp
                | Self::XRequestId
                | Self::XEnvoy
                | Self::Authorization
                | Self::Cookie
        )
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderKind::{self, *};

    #[test]
    fn every_name_in_any_case() {
        for (name, kind) in [
            ("host", Host),
            ("connection", Connection),
            ("content-length", ContentLength),
            ("transfer-encoding", TransferEncoding),
            ("te", Te),
            ("trailer", Trailer),
            ("upgrade", Upgrade),
            ("keep-alive", KeepAlive),
            ("proxy", Proxy),
            ("proxy-connection", ProxyConnection),
            ("proxy-authenticate", ProxyAuthenticate),
            ("proxy-authorization", ProxyAuthorization),
            ("expect", Expect),
            ("x-forwarded-for", XForwardedFor),
            ("x-forwarded-proto", XForwardedProto),
            ("x-forwarded-host", XForwardedHost),
            ("x-forwarded-port", XForwardedPort),
            ("x-forwarded-client-cert", XForwardedOther),
            ("x-forwarded-", XForwardedOther),
            ("forwarded", Forwarded),
            ("x-real-ip", XRealIp),
            ("x-request-id", XRequestId),
            ("x-envoy-peer", XEnvoy),
            ("origin", Origin),
            ("user-agent", UserAgent),
            ("cookie", Cookie),
            ("authorization", Authorization),
            ("date", Date),
            ("server", Server),
            ("http2-settings", Http2Settings),
            ("", Other),
            ("x", Other),
            ("hosts", Other),
            ("h0st", Other),
            ("x_forwarded_for", Other),
            ("content-type", Other),
        ] {
            assert_eq!(HeaderKind::of(name.as_bytes()), kind, "{name}");
            assert_eq!(HeaderKind::of(name.to_ascii_uppercase().as_bytes()), kind, "{name} upper");
        }
    }
}
