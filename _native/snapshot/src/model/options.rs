//! Gateway-wide HTTP behaviour.

use serde::Deserialize;

/// Header names with underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// Kept.
    Allow,
    /// The request is refused.
    Reject,
    /// The header is dropped.
    Drop,
}

/// `%2F` and `%5C` in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscapedSlashes {
    /// The request is refused.
    Reject,
    /// Kept.
    Keep,
}

/// Form of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLog {
    /// None.
    Off,
    /// One JSON object per line.
    Json,
    /// One line of text.
    Text,
}

/// See `gateway.ir.Options`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `Server` header.
    pub server_name: String,
    /// Size of a request head in KiB.
    pub max_request_headers_kb: u32,
    /// Number of request header fields.
    pub max_headers: u32,
    /// Size of a request target.
    pub max_target_bytes: u32,
    /// Time for a request head.
    pub request_head_timeout_ms: u64,
    /// Silence in a body.
    pub body_idle_timeout_ms: u64,
    /// Silence on a client connection.
    pub listener_idle_timeout_ms: u64,
    /// Serve HTTP/1.0.
    pub enable_http10: bool,
    /// The peer is the client.
    pub use_remote_address: bool,
    /// Trusted hops.
    pub xff_num_trusted_hops: u32,
    /// Keep the client's `X-Request-Id`.
    pub preserve_external_request_id: bool,
    /// No `x-envoy-*` headers.
    pub suppress_envoy_headers: bool,
    /// Header names with underscores.
    pub headers_with_underscores: Underscores,
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// `%2F` and `%5C` in paths.
    pub escaped_slashes: EscapedSlashes,
    /// Remove the port from the host if it is the listener's.
    pub strip_matching_host_port: bool,
    /// Redirect by `X-Forwarded-Proto`.
    pub x_forwarded_proto_redirect: bool,
    /// Form of the access log.
    pub access_log: AccessLog,
    /// Template of the access log.
    pub access_log_format: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server_name: "sluice".to_owned(),
            max_request_headers_kb: 60,
            max_headers: 100,
            max_target_bytes: 16_384,
            request_head_timeout_ms: 10_000,
            body_idle_timeout_ms: 30_000,
            listener_idle_timeout_ms: 3_600_000,
            enable_http10: true,
            use_remote_address: true,
            xff_num_trusted_hops: 0,
            preserve_external_request_id: false,
            suppress_envoy_headers: false,
            headers_with_underscores: Underscores::Reject,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::Reject,
            strip_matching_host_port: false,
            x_forwarded_proto_redirect: false,
            access_log: AccessLog::Off,
            access_log_format: String::new(),
        }
    }
}
