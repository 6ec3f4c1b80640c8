//! The per-request decisions of the gateway: limits, client trust, CORS, rewrites, header edits, upstream resilience,
//! logs, counters.
//!
//! Everything here is a pure function of its arguments (or of a slice of atomics that somebody else mapped): no clock,
//! no randomness, no sockets. Time and entropy are parameters, so every decision can be replayed and explained.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod address;
pub mod addresses;
pub mod bandwidth;
pub mod civil;
pub mod content_coding;
pub mod cors;
pub mod counters;
pub mod escape;
pub mod facts;
pub mod format;
pub mod forwarded;
pub mod gcra;
pub mod grpc_status;
pub mod headers;
pub mod latency;
pub mod origin;
pub mod redirect;
pub mod region;
pub mod request_id;
pub mod rewrite;
pub mod rng;
pub mod stats;
pub mod table;
pub mod token;
pub mod totals;
pub mod upstream;

pub use access_log::{AccessLog, LogRecord};
pub use cors::{Cors, CorsDecision, Grant, OriginRule};
pub use facts::RequestFacts;
pub use format::Headers;
pub use forwarded::{ClientInfo, Scheme, Security, TrustPolicy, compute};
pub use gcra::{Decision, Rate};
pub use headers::HeaderEdits;
pub use redirect::{Redirect, RedirectRequest};
pub use request_id::uuid_v4;
pub use rewrite::{NotNormal, PathRewrite};
pub use rng::Rng;
pub use stats::{Layout, Region, Row};
pub use table::{KeyHasher, LimitTable};
pub use totals::Totals;
