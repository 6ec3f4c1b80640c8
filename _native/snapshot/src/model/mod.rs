//! The wire form of the intermediate representation: a mirror of `gateway/ir`, name for name.
//!
//! Durations are milliseconds, sizes bytes, weights percent. Unknown fields are refused, so that a master that is
//! newer than its workers is noticed instead of half obeyed.

mod action;
mod cluster;
mod health;
mod host;
mod matching;
mod options;
mod route;

pub use action::{
    Choice, DirectResponse, Forward, HashKind, HashSource, HeaderEdits, HeaderValue, PathRewrite, PathRewriteKind,
    Priority, Redirect, RetryPolicy,
};
pub use cluster::{
    Balancer, BalancerPolicy, CircuitBreaker, Cluster, DnsTarget, Endpoint, EndpointState, Protocol, TcpKeepalive,
    UpstreamTls,
};
pub use health::{GrpcCheck, HealthCheck, HttpCheck, OutlierDetection, StatusRange};
pub use host::{
    Certificate, InsecureAction, Listener, ListenerProtocol, Security, TcpChoice, TcpRoute, TlsTermination, TlsVersion,
    VirtualHost,
};
pub use matching::{NamedMatch, PathMatch, PathMatchKind, RouteMatch, StringMatch, StringMatchKind};
pub use options::{
    AccessLog, AddressSource, Compression, EscapedSlashes, IpAction, IpRule, IpRules, Options, Underscores,
};
pub use route::{
    BandwidthLimit, BodyFormat, Cors, ErrorOverride, Fault, LimitKey, LimitSource, Origin, Route, RouteLimit, Shadow,
};

pub(crate) fn yes() -> bool {
    true
}
