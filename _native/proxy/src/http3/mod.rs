//! HTTP/3 with clients (RFC 9114), on QUIC by the `quinn` crate (RFC 9000) and the codec of `sluice-http3`.
//!
//! As over HTTP/2, a head that arrives is written down as HTTP/1.1 text and goes the way of every request, and the text of
//! an answer's head becomes a field section; bodies move through `body.rs`, and the windows of the peer are the
//! back-pressure. One socket belongs to one worker, and the kernel chooses it by the addresses of both sides: a client
//! that changes its own would reach another worker, so connections do not migrate (RFC 9000 section 9).

pub(crate) mod body;
mod connection;
mod control;
mod exchange;
mod frames;
mod head;
pub(crate) mod listen;
mod runtime;
pub(crate) mod send;
pub(crate) mod stream;
mod tls;
mod transport;

use quinn::VarInt;
use sluice_http3::Code;

/// An error code as QUIC carries it.
fn varint(code: Code) -> VarInt {
    VarInt::from_u64(code.0).unwrap_or(VarInt::MAX)
}
