//! Who the client is, and which of the headers that describe the way here may be believed.
//!
//! Source: Envoy, "HTTP header manipulation" (x-forwarded-for, x-forwarded-proto, x-envoy-external-address,
//! x-envoy-internal, x-request-id). Stricter than Envoy in one respect: without a trusted hop, every header by which a
//! client could describe itself to a backend is dropped, not only the ones that Envoy itself reads.

use crate::address;
use std::net::IpAddr;

/// How a listener decides whether a request came over a secure channel (Emissary: `Listener.securityModel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// By X-Forwarded-Proto, as far as the hop rules let it through.
    #[default]
    Xfp,
    /// Always secure.
    Secure,
    /// Never secure.
    Insecure,
}

/// Scheme of a request as the client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`, as X-Forwarded-Proto and Location write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Port that a URL of this scheme may leave out.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Exactly `http` or `https`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"http" => Some(Self::Http),
            b"https" => Some(Self::Https),
            _ => None,
        }
    }

    const fn of_channel(tls: bool) -> Self {
        if tls { Self::Https } else { Self::Http }
    }
}

/// What a listener believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Envoy's `use_remote_address`: this gateway is an edge and appends its peer to X-Forwarded-For.
    pub use_remote_address: bool,
    /// Proxies in front whose X-Forwarded-For entries are true (`xff_num_trusted_hops`, `Listener.l7Depth`).
    pub trusted_hops: u32,
    /// How `secure` is decided.
    pub security: Security,
    /// Keep the X-Request-Id of external clients.
    pub preserve_external_request_id: bool,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        Self { use_remote_address: true, trusted_hops: 0, security: Security::Xfp, preserve_external_request_id: false }
    }
}

/// What is known about the sender of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientInfo {
    /// The trusted client address.
    pub client: IpAddr,
    /// Whether host rules for secure requests apply; decided by the listener's [`Security`].
    pub secure: bool,
    /// The value of X-Forwarded-Proto for the upstream.
    pub scheme: Scheme,
    /// Envoy's `x-envoy-internal: true`.
    pub internal: bool,
    /// An edge request in Envoy's sense: external, at a gateway that uses the remote address. Such a request gets
    /// `x-envoy-external-address` with the client address.
    pub edge: bool,
    /// The peer is a proxy whose forwarding headers are believed.
    pub trusted: bool,
    /// An X-Request-Id that came with the request is kept; otherwise it is replaced.
    pub keep_request_id: bool,
}

/// Decide who the client is.
///
/// `peer` is the source of the connection (after the PROXY protocol), `tls` whether it is encrypted here, `xff` the
/// values of all X-Forwarded-For lines in order, `xfp` the value of X-Forwarded-Proto (several lines joined by a comma,
/// which then is no valid scheme).
pub fn compute<'a>(
    peer: IpAddr,
    tls: bool,
    xff: impl Iterator<Item = &'a [u8]> + Clone,
    xfp: Option<&[u8]>,
    policy: &TrustPolicy,
) -> ClientInfo {
    let peer = peer.to_canonical();
    let trusted = policy.trusted_hops > 0 || !policy.use_remote_address;
    let elements = xff.filter(|line| !line.trim_ascii().is_empty()).flat_map(|line| line.split(|&byte| byte == b','));
    // With the remote address the peer is itself one hop, so the Nth entry from the right is the client; without it the
    // last entry stands for the peer and the client is one further left.
    let from_right =
        if policy.use_remote_address { policy.trusted_hops } else { policy.trusted_hops.saturating_add(1) };
    let (forwarded, count) = nth_from_right(elements, from_right as usize);
    let alone = if policy.use_remote_address { count == 0 } else { count == 1 };
    let known = if policy.use_remote_address { Some(forwarded.unwrap_or(peer)) } else { forwarded };
    let internal = alone && known.is_some_and(address::is_internal);
    let edge = policy.use_remote_address && !internal;
    let channel = Scheme::of_channel(tls);
    let scheme = if trusted { xfp.and_then(Scheme::parse).unwrap_or(channel) } else { channel };
    ClientInfo {
        client: known.unwrap_or(peer),
        secure: match policy.security {
            Security::Xfp => scheme == Scheme::Https,
            Security::Secure => true,
            Security::Insecure => false,
        },
        scheme,
        internal,
        edge,
        trusted,
        keep_request_id: !edge || policy.preserve_external_request_id,
    }
}

/// The address in place `n` from the right (1 = last) and how many elements there are.
fn nth_from_right<'a>(elements: impl Iterator<Item = &'a [u8]> + Clone, n: usize) -> (Option<IpAddr>, usize) {
    let count = elements.clone().count();
    if n == 0 || n > count {
        return (None, count);
    }
    let mut elements = elements;
    (elements.nth(count - n).and_then(address::parse), count)
}

/// Headers that Envoy obeys and therefore takes from internal clients only.
const INTERNAL_ONLY: [&[u8]; 13] = [
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-force-trace",
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-ip-tags",
    b"x-envoy-is-timeout-retry",
    b"x-envoy-max-retries",
    b"x-envoy-original-url",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retry-on",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-rq-timeout-ms",
];

impl ClientInfo {
    /// Whether the header `name` (in any case) of the request goes to the upstream.
    ///
    /// X-Forwarded-For passes, because the gateway appends to it. X-Forwarded-Proto, X-Envoy-Internal and an
    /// X-Request-Id that is not kept never pass, because the gateway writes its own.
    #[must_use]
    pub fn forwards(&self, name: &[u8]) -> bool {
        match name.first() {
            Some(b'x' | b'X') => self.forwards_extension(name),
            Some(b'f' | b'F') => self.trusted || !name.eq_ignore_ascii_case(b"forwarded"),
            _ => true,
        }
    }

    fn forwards_extension(&self, name: &[u8]) -> bool {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if starts_with(name, b"x-forwarded-") {
            // Client certificate details are for the gateway to state (Envoy's default: SANITIZE).
            return is(b"x-forwarded-for")
                || (self.trusted && !is(b"x-forwarded-proto") && !is(b"x-forwarded-client-cert"));
        }
        if starts_with(name, b"x-envoy-") {
            return self.trusted
                && !self.edge
                && !is(b"x-envoy-internal")
                && (self.internal || !INTERNAL_ONLY.iter().any(|internal| is(internal)));
        }
        if is(b"x-real-ip") {
            return self.trusted;
        }
        self.keep_request_id || !is(b"x-request-id")
    }

    /// Value of `x-envoy-external-address`, when it is to be set.
    #[must_use]
    pub fn external_address(&self) -> Option<IpAddr> {
        self.edge.then_some(self.client)
    }
}

fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
