//! Virtual hosts, listeners and certificates.

use serde::Deserialize;

use super::route::{Origin, Route};
use super::yes;

/// What is done with cleartext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsecureAction {
    /// To `https`.
    Redirect,
    /// Refused.
    Reject,
    /// Served.
    #[default]
    Route,
}

/// Routes for a set of domains.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualHost {
    /// Unique.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// `*`, `name`, `*.suffix` or `prefix.*`.
    pub domains: Vec<String>,
    /// In rank order.
    pub routes: Vec<Route>,
    /// What is done with cleartext.
    #[serde(default)]
    pub insecure_action: InsecureAction,
    /// Port put into the `https` redirect.
    #[serde(default)]
    pub redirect_port: Option<u16>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3, RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

impl TlsVersion {
    pub(crate) fn lowest() -> Self {
        Self::V12
    }

    pub(crate) fn highest() -> Self {
        Self::V13
    }
}

fn http() -> Vec<String> {
    vec!["h2".to_owned(), "http/1.1".to_owned()]
}

/// TLS settings of some server names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsTermination {
    /// `*`, `name` or `*.suffix`.
    pub server_names: Vec<String>,
    /// Name of a certificate section.
    pub certificate: String,
    /// Where it was declared.
    pub origin: Origin,
    /// Offered protocols, best first.
    #[serde(default = "http")]
    pub alpn: Vec<String>,
    /// Lowest version.
    #[serde(default = "TlsVersion::lowest")]
    pub min_version: TlsVersion,
    /// Highest version.
    #[serde(default = "TlsVersion::highest")]
    pub max_version: TlsVersion,
    /// Allowed suites; empty for all.
    #[serde(default)]
    pub cipher_suites: Vec<String>,
    /// PEM bundle for client certificates.
    #[serde(default)]
    pub client_ca: Option<String>,
    /// Clients must present a certificate.
    #[serde(default)]
    pub client_cert_required: bool,
}

/// Which requests of a listener count as secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// As `X-Forwarded-Proto` says, where the hop rules trust it.
    Xfp,
    /// All.
    Secure,
    /// None.
    Insecure,
}

/// `Listener.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerProtocol {
    /// HTTP over TCP, perhaps beside TCP routes.
    #[default]
    Http,
    /// TCP routes only.
    Tcp,
    /// HTTP/3, or a UDP route.
    Udp,
}

/// One member of a TCP route.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpChoice {
    /// Own share in percent.
    pub weight: f64,
    /// Name of the cluster.
    pub cluster: String,
    /// Where it was declared.
    pub origin: Origin,
}

/// A version of the PROXY protocol (haproxy.org, "The PROXY protocol").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// A binary header.
    V2,
}

/// Connections that are forwarded byte by byte.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpRoute {
    /// Unique in its listener.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// Names in the TLS hello; empty for what nothing else takes.
    pub server_names: Vec<String>,
    /// Where they go; empty to close them.
    pub choices: Vec<TcpChoice>,
    /// Silence in both directions; 0 is off.
    #[serde(default)]
    pub idle_timeout_ms: Option<u64>,
    /// TLS ends here.
    #[serde(default)]
    pub terminate: bool,
    /// A header of the PROXY protocol goes in front of each connection to an endpoint.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyVersion>,
}

/// Datagrams that are forwarded, those of each client to an endpoint of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpRoute {
    /// Name in logs.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// Where they go.
    pub choices: Vec<TcpChoice>,
    /// Silence in both directions that ends a session.
    #[serde(default)]
    pub idle_timeout_ms: Option<u64>,
    /// Sessions of one worker.
    #[serde(default)]
    pub max_sessions: Option<u32>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Unique.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// Address to bind.
    pub address: String,
    /// Port to bind.
    pub port: u16,
    /// Terminates TLS.
    pub tls: bool,
    /// Which requests count as secure.
    pub security: Security,
    /// Names of virtual hosts.
    pub virtual_hosts: Vec<String>,
    /// Expects a PROXY header.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Trusted hops before the gateway.
    #[serde(default)]
    pub trusted_hops: u32,
    /// TLS settings.
    #[serde(default)]
    pub terminations: Vec<TlsTermination>,
    /// What is spoken.
    #[serde(default)]
    pub protocol: ListenerProtocol,
    /// HTTP/2 is taken.
    #[serde(default = "yes")]
    pub http2: bool,
    /// Streams of one HTTP/2 connection; `None` for that of the options.
    #[serde(default)]
    pub http2_max_concurrent_streams: Option<u32>,
    /// HTTP/3 is served, or advertised because a `udp` listener has the same address and port.
    #[serde(default)]
    pub http3: bool,
    /// Connections that are forwarded.
    #[serde(default)]
    pub tcp_routes: Vec<TcpRoute>,
    /// Most open connections, in all workers; `None` for no limit.
    #[serde(default)]
    pub max_connections: Option<u32>,
    /// Most open connections of one client address, in all workers and over all listeners.
    #[serde(default)]
    pub max_connections_per_address: Option<u32>,
    /// Datagrams that are forwarded.
    #[serde(default)]
    pub udp_route: Option<UdpRoute>,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Unique.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// PEM, leaf first.
    pub chain: String,
    /// PEM.
    pub private_key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key never appears in a dump.
        f.debug_struct("Certificate").field("name", &self.name).finish_non_exhaustive()
    }
}
