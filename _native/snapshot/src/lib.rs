//! The compiled configuration: what a worker needs at request time, precomputed and immutable.
//!
//! [`Compiled::apply`] takes the last version and a delta (see `ARCHITECTURE.md`) and gives the next version. Sections
//! that did not change are shared by reference. Findings never stop the rest: they are listed in [`Compiled::issues`],
//! and a section that fails as a whole keeps its last good version.

#![forbid(unsafe_code)]

mod action;
mod addresses;
mod apply;
mod attempt;
mod cluster;
mod compiled;
mod compression;
mod decide;
mod delta;
mod error;
mod errorbody;
mod format;
mod headercase;
mod health;
mod host;
mod ids;
mod listener;
mod matching;
pub mod model;
mod options;
mod policy;
mod reaper;
mod route;
mod shaping;
mod store;
mod tcp;
pub mod tls;
mod traffic;
mod udp;

pub use action::{Action, DirectResponse, Forward, HostRewrite};
pub use addresses::{Cidr, IpRules};
pub use attempt::{HashSource, Retry, SetCookie};
pub use cluster::{Cluster, ClusterTls, Dns};
pub use compiled::Compiled;
pub use compression::Compression;
pub use decide::{Selection, select};
pub use error::{Issue, SnapshotError};
pub use errorbody::{ErrorBody, ErrorOverride, ErrorOverrides, ORIGINAL_BODY};
pub use headercase::{HeaderCase, Spelling};
pub use health::{HealthCheck, Probe};
pub use host::VirtualHost;
pub use ids::ClusterId;
pub use listener::Listener;
pub use model::{InsecureAction, ListenerProtocol, Origin, PathMatchKind, ProxyVersion};
pub use options::{Options, UNLIMITED_NS};
pub use policy::{LimitKey, LimitSource, RouteLimit};
pub use route::{Choice, PathInfo, Route, Shadow};
pub use shaping::{BandwidthLimit, Fault};
pub use tcp::{TcpChoice, TcpRoute, TcpRoutes};
pub use traffic::{Balancing, BreakerLimits, CircuitBreakers, Priority, Protocol, TcpKeepalive};
pub use udp::UdpRoute;
