//! The wire form of the intermediate representation: a mirror of `gateway/ir/model.py`, name for name.
//!
//! Durations are milliseconds, sizes bytes, weights percent. Unknown fields are refused, so that a master that is
//! newer than its workers is noticed instead of half obeyed.

mod action;
mod cluster;
mod host;
mod matching;
mod options;
mod route;

pub use action::{Choice, DirectResponse, Forward, HeaderEdits, HeaderValue, PathRewrite, PathRewriteKind, Redirect};
pub use cluster::{Cluster, DnsTarget, Endpoint, Protocol, UpstreamTls};
pub use host::{
    Certificate, InsecureAction, Listener, ListenerProtocol, Security, TlsTermination, TlsVersion, VirtualHost,
};
pub use matching::{NamedMatch, PathMatch, PathMatchKind, RouteMatch, StringMatch, StringMatchKind};
pub use options::{AccessLog, EscapedSlashes, Options, Underscores};
pub use route::{Cors, LimitKey, LimitSource, Origin, Route, RouteLimit, Shadow};

pub(crate) fn yes() -> bool {
    true
}
