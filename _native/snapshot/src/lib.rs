//! The compiled configuration: what a worker needs at request time, precomputed and immutable.
//!
//! [`Compiled::apply`] takes the last version and a delta (see `ARCHITECTURE.md`) and gives the next version. Sections
//! that did not change are shared by reference. Findings never stop the rest: they are listed in [`Compiled::issues`],
//! and a section that fails as a whole keeps its last good version.

#![forbid(unsafe_code)]

mod action;
mod apply;
mod cluster;
mod compiled;
mod decide;
mod delta;
mod error;
mod format;
mod host;
mod ids;
mod listener;
mod matching;
pub mod model;
mod options;
mod policy;
mod route;
mod store;
pub mod tls;

pub use action::{Action, DirectResponse, Forward, HostRewrite};
pub use cluster::{Cluster, ClusterTls, Dns};
pub use compiled::Compiled;
pub use decide::{Selection, select};
pub use error::{Issue, SnapshotError};
pub use host::VirtualHost;
pub use ids::ClusterId;
pub use listener::Listener;
pub use model::{InsecureAction, ListenerProtocol, Origin, PathMatchKind, Protocol};
pub use options::Options;
pub use policy::{LimitKey, LimitSource, RouteLimit};
pub use route::{Choice, PathInfo, Route, Shadow};
