//! Upstreams.

use serde::Deserialize;

use super::action::Priority;
use super::health::{HealthCheck, OutlierDetection};
use super::host::TlsVersion;
use super::route::Origin;
use super::yes;

fn one() -> u32 {
    1
}

/// Whether an endpoint takes new work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It does.
    #[default]
    Ready,
    /// It is shutting down and still serves.
    Terminating,
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
    /// Topology zone; empty when unknown.
    #[serde(default)]
    pub zone: String,
    /// Whether it takes new work.
    #[serde(default)]
    pub state: EndpointState,
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
    /// Ask again when the answer's TTL is over.
    #[serde(default)]
    pub respect_ttl: bool,
    /// Only the first address is used, connections stay when the answer changes.
    #[serde(default)]
    pub logical: bool,
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

/// `Balancer.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalancerPolicy {
    /// One after the other.
    RoundRobin,
    /// The less busy one of two.
    LeastRequest,
    /// By a hash of the request, on a ring.
    RingHash,
    /// By a hash of the request, in a table.
    Maglev,
    /// The one with the lowest moving average of latency.
    Ewma,
}

fn half() -> u32 {
    50
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balancer {
    /// How.
    pub policy: BalancerPolicy,
    /// With fewer healthy endpoints all are used.
    #[serde(default = "half")]
    pub panic_threshold_percent: u32,
    /// Time over which a new endpoint gets its full share.
    #[serde(default)]
    pub slow_start_ms: u64,
    /// Endpoints of the own zone first.
    #[serde(default)]
    pub zone_aware: bool,
}

fn many() -> u32 {
    1024
}

fn few() -> u32 {
    3
}

/// Limits towards a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Of which requests.
    #[serde(default)]
    pub priority: Priority,
    /// Connections.
    #[serde(default = "many")]
    pub max_connections: u32,
    /// Requests without a connection.
    #[serde(default = "many")]
    pub max_pending_requests: u32,
    /// Requests in flight.
    #[serde(default = "many")]
    pub max_requests: u32,
    /// Retries in flight.
    #[serde(default = "few")]
    pub max_retries: u32,
}

/// Keep-alive probes; `None` is the system's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpKeepalive {
    /// Seconds of silence before the first probe.
    #[serde(default)]
    pub idle_s: Option<u32>,
    /// Seconds between probes.
    #[serde(default)]
    pub interval_s: Option<u32>,
    /// Probes that may stay unanswered.
    #[serde(default)]
    pub probes: Option<u32>,
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
    /// How an endpoint is chosen.
    #[serde(default)]
    pub balancer: Option<Balancer>,
    /// Limits, at most one per priority.
    #[serde(default)]
    pub breakers: Vec<CircuitBreaker>,
    /// Active checks; all must hold.
    #[serde(default)]
    pub health_checks: Vec<HealthCheck>,
    /// Passive checks.
    #[serde(default)]
    pub outlier: Option<OutlierDetection>,
    /// Keep-alive probes.
    #[serde(default)]
    pub tcp_keepalive: Option<TcpKeepalive>,
}
