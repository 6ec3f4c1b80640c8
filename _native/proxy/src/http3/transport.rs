//! What a client may take of a connection.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, ServerConfig, TransportConfig, VarInt};
use sluice_snapshot::Options;

use super::tls;

/// Requests that one connection may have open (as over HTTP/2).
const STREAMS: u32 = 100;
/// Control stream, two of QPACK, and some that carry nothing, which clients open to keep servers honest (RFC 9114
/// section 6.2.3).
const UNI_STREAMS: u32 = 8;
/// Body bytes that one request may send ahead (as over HTTP/2).
const STREAM_WINDOW: u32 = 64 * 1024;
/// … and all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of answers that may wait for the client's acknowledgement, per connection.
const SEND_WINDOW: u64 = 1024 * 1024;
/// Longest silence of a connection, in nanoseconds: the usual idle time of QUIC.
const IDLE_NS: u64 = 30_000_000_000;
/// Bytes that may come for a connection before it is accepted. Each is accepted, or not, within the turn it came in.
const EARLY_BYTES: u64 = 64 * 1024;
const EARLY_BYTES_TOTAL: u64 = 4 * 1024 * 1024;
/// Connections that may wait for that moment.
const WAITING: usize = 1024;

/// Settings of an endpoint; those of a connection differ from them in the TLS configuration and the idle time.
pub(super) fn server() -> Option<(ServerConfig, Arc<quinn::crypto::rustls::QuicServerConfig>)> {
    let initial = tls::initial()?;
    let mut config = ServerConfig::with_crypto(Arc::clone(&initial) as _);
    let mut tokens = quinn::ValidationTokenConfig::default();
    // Tokens for later connections would be known to one worker only.
    tokens.sent(0);
    config
        .migration(false)
        .validation_token_config(tokens)
        .max_incoming(WAITING)
        .incoming_buffer_size(EARLY_BYTES)
        .incoming_buffer_size_total(EARLY_BYTES_TOTAL);
    Some((config, initial))
}

pub(super) fn transport(options: &Options) -> TransportConfig {
    // Without a limit for connections, or with a long one, QUIC's own holds: clients keep theirs alive if they care.
    let idle_ns = options.listener_idle_timeout_ns.min(IDLE_NS);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(Duration::from_nanos(idle_ns)).ok());
    transport
}
