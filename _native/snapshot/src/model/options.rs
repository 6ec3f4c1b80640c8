//! Gateway-wide HTTP behaviour.

use serde::Deserialize;

use super::route::ErrorOverride;

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

/// Compression of answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compression {
    /// Bytes below which answers stay as they are.
    pub min_content_length: u64,
    /// 1 is fast, 9 is small.
    pub level: u32,
    /// zlib's window.
    pub window_bits: u32,
    /// zlib's memory.
    pub memory_level: u32,
    /// Types that are compressed.
    pub content_types: Vec<String>,
    /// Answers with an `ETag` stay as they are.
    pub disable_on_etag_header: bool,
    /// `Accept-Encoding` does not go upstream.
    pub remove_accept_encoding_header: bool,
    /// Content codings, the preferred one first.
    pub algorithms: Vec<String>,
}

impl Default for Compression {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            min_content_length: 30,
            level: 6,
            window_bits: 12,
            memory_level: 5,
            content_types: texts(&[
                "application/javascript",
                "application/json",
                "application/xhtml+xml",
                "image/svg+xml",
                "text/css",
                "text/html",
                "text/plain",
                "text/xml",
            ]),
            disable_on_etag_header: false,
            remove_accept_encoding_header: false,
            algorithms: texts(&["br", "zstd", "gzip"]),
        }
    }
}

/// `IpRule.source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressSource {
    /// The other end of the connection.
    Peer,
    /// The trusted client address.
    Remote,
}

/// A range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpRule {
    /// Which address.
    pub source: AddressSource,
    /// The range.
    pub cidr: String,
}

/// `IpRules.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpAction {
    /// Addresses of some entry only.
    Allow,
    /// All but addresses of some entry.
    Deny,
}

/// Which client addresses are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpRules {
    /// What the entries mean.
    pub action: IpAction,
    /// The entries.
    pub entries: Vec<IpRule>,
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
    /// Silence on a client connection; 0 for no limit.
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
    /// Compression of answers.
    pub gzip: Option<Compression>,
    /// Requests are read as a whole, up to this size.
    pub max_request_bytes: Option<u64>,
    /// Bytes kept per connection and direction.
    pub buffer_limit_bytes: Option<u64>,
    /// Error bodies.
    pub error_overrides: Vec<ErrorOverride>,
    /// Header names as `Proper-Case`.
    pub proper_case: bool,
    /// Header names as listed.
    pub header_case_overrides: Vec<String>,
    /// Which client addresses are served.
    pub ip_rules: Option<IpRules>,
    /// grpc-web becomes gRPC.
    pub grpc_web: bool,
    /// gRPC over HTTP/1.1 becomes gRPC.
    pub grpc_http11_bridge: bool,
    /// Streams of one connection of a client.
    pub http2_max_concurrent_streams: u32,
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
            gzip: None,
            max_request_bytes: None,
            buffer_limit_bytes: None,
            error_overrides: Vec::new(),
            proper_case: false,
            header_case_overrides: Vec::new(),
            ip_rules: None,
            grpc_web: false,
            grpc_http11_bridge: false,
            http2_max_concurrent_streams: 100,
        }
    }
}
