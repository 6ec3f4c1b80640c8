//! The proxy: connections, pools, forwarding, logs and statistics on the hosted runtime.

mod accept;
mod admission;
mod admitted;
mod answer;
mod body;
mod buffers;
mod checks;
mod client;
mod copy;
mod deadline;
mod deliver;
mod downstream;
mod engine;
mod error;
mod errorbody;
mod exchange;
pub mod explain;
mod fault;
mod flood;
mod heads;
mod hold;
mod http2;
mod http3;
mod ledger;
mod local;
mod log_writer;
mod memory;
mod pace;
mod pending;
mod permit;
mod pool;
mod prepare;
mod proxy_protocol;
mod record;
mod relay;
mod reply;
mod request;
mod request_head;
mod resolver;
mod response_head;
mod retry;
mod rules;
mod session;
mod shadow;
mod shared;
mod stream;
mod target;
mod tcp_proxy;
mod transform;
mod ttl;
mod ttl_thread;
mod tunnel;
mod udp_proxy;
mod upcall;
mod upload;
mod upstream;
mod websocket;

pub use engine::{Engine, EngineConfig, EngineError};
pub use error::{ProxyError, Retry, Side};
pub use memory::SharedWords;
pub use request_head::{BodyHeader, UpstreamHead};
pub use transform::HeadChange;
pub use upcall::{Upcall, UpcallAnswer};

/// A seed for weights and request ids from the operating system's randomness.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hash keys from the system; hashing nothing gives a number derived from them.
    std::hash::RandomState::new().build_hasher().finish()
}
