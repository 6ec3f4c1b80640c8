//! Upstreams.

use serde::Deserialize;

use super::host::TlsVersion;
use super::route::Origin;
use super::yes;

fn one() -> u32 {
    1
}

/// An address and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// IP address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Relative weight.
    #[serde(default = "one")]
    pub weight: u32,
}

/// A name to resolve.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsTarget {
    /// Name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Ask for A.
    #[serde(default = "yes")]
    pub ipv4: bool,
    /// Ask for AAAA.
    #[serde(default)]
    pub ipv6: bool,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// Server name sent and verified.
    pub server_name: String,
    /// Verify the certificate.
    #[serde(default = "yes")]
    pub verify: bool,
    /// PEM bundle instead of the system roots.
    #[serde(default)]
    pub ca: Option<String>,
    /// Name of the client certificate section.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Lowest version.
    #[serde(default = "TlsVersion::lowest")]
    pub min_version: TlsVersion,
    /// Highest version.
    #[serde(default = "TlsVersion::highest")]
    pub max_version: TlsVersion,
    /// Offered protocols.
    #[serde(default)]
    pub alpn: Vec<String>,
}

/// `Cluster.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, with prior knowledge or by ALPN.
    Http2,
}

fn connect_timeout() -> u64 {
    3000
}

fn idle_timeout() -> u64 {
    3_600_000
}

/// Endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Unique.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// Fixed endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Name to resolve.
    #[serde(default)]
    pub dns: Option<DnsTarget>,
    /// TLS.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// What the endpoints speak.
    #[serde(default)]
    pub protocol: Protocol,
    /// Connecting, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout_ms: u64,
    /// Idle connection in the pool.
    #[serde(default = "idle_timeout")]
    pub idle_timeout_ms: u64,
    /// Age of a connection.
    #[serde(default)]
    pub max_connection_lifetime_ms: Option<u64>,
    /// Name in statistics; empty for `name`.
    #[serde(default)]
    pub stats_name: String,
}
