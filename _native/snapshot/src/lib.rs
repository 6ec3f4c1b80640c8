//! The compiled configuration: what a worker needs at request time, precomputed and immutable.
//!
//! [`Compiled::apply`] takes the last version and a delta (see `ARCHITECTURE.md`) and gives the next version. Sections
//! that did not change are shared by reference. Findings never stop the rest: they are listed in [`Compiled::issues`],
//! and a section that fails as a whole keeps its last good version.

#![forbid(unsafe_code)]

mod apply;
mod cluster;
mod compiled;
mod decide;
mod delta;
mod edits;
mod error;
mod host;
mod ids;
mod listener;
mod matching;
pub mod model;
mod policy;
mod rewrite;
mod route;
mod store;
pub mod tls;

pub use cluster::{Cluster, ClusterTls, Dns};
pub use compiled::Compiled;
pub use decide::{Matched, Selection, select};
pub use edits::{HeaderAdd, HeaderEdits};
pub use error::{Issue, SnapshotError};
pub use host::VirtualHost;
pub use ids::ClusterId;
pub use listener::Listener;
pub use model::{InsecureAction, Options, Origin, Security};
pub use policy::{Cors, LimitKey, LimitSource, RouteLimit};
pub use rewrite::{Matching, PathRewrite};
pub use route::{Action, Choice, DirectResponse, Forward, HostRewrite, PathInfo, Redirect, Route, Shadow};
