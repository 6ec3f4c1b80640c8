//! Gateway-wide behaviour, in the types of the crates that obey it.

use std::sync::Arc;

use sluice_http1::{EscapedSlashes, HeadLimits, NormalizePolicy, Underscores};
use sluice_policy::{AccessLog, Security, TrustPolicy};

use crate::addresses::IpRules;
use crate::compression::Compression;
use crate::error::Findings;
use crate::errorbody::ErrorOverrides;
use crate::format;
use crate::headercase::HeaderCase;
use crate::model;

/// See `gateway.ir.Options`; timeouts are nanoseconds.
#[derive(Clone, Debug)]
pub struct Options {
    /// `Server` header.
    pub server_name: Box<[u8]>,
    /// Sizes of a request head.
    pub head_limits: HeadLimits,
    /// How requests are normalised.
    pub normalize: NormalizePolicy,
    /// What is believed where a listener does not say.
    pub trust: TrustPolicy,
    /// Time for a request head.
    pub request_head_timeout_ns: u64,
    /// Longest silence in a body.
    pub body_idle_timeout_ns: u64,
    /// Longest silence between requests of a connection; [`UNLIMITED_NS`] where there is no limit.
    pub listener_idle_timeout_ns: u64,
    /// No `x-envoy-*` headers.
    pub suppress_envoy_headers: bool,
    /// Remove the port from the forwarded host if it is the listener's.
    pub strip_matching_host_port: bool,
    /// Redirect by `X-Forwarded-Proto`.
    pub x_forwarded_proto_redirect: bool,
    /// Access log; `None` for none.
    pub access_log: Option<AccessLog>,
    /// Compression of answers; `None` for none.
    pub compression: Option<Arc<Compression>>,
    /// Requests are read as a whole up to this size, larger ones are answered 413; `None` for streaming.
    pub max_request_bytes: Option<u64>,
    /// Bytes of an answer that has to be read as a whole; `None` for the gateway's own limit.
    pub buffer_limit_bytes: Option<u64>,
    /// Error bodies, see `Route::error_override`.
    pub error_overrides: ErrorOverrides,
    /// How header names are written in HTTP/1.1.
    pub header_case: HeaderCase,
    /// Which client addresses are served; `None` for all.
    pub ip_rules: Option<Arc<IpRules>>,
    /// grpc-web becomes gRPC.
    pub grpc_web: bool,
    /// gRPC over HTTP/1.1 becomes gRPC.
    pub grpc_http11_bridge: bool,
    /// Streams of one connection of a client, where its listener does not say; above zero.
    pub http2_max_concurrent_streams: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self::compile(&model::Options::default(), &mut Findings::default())
    }
}

impl Options {
    pub(crate) fn compile(options: &model::Options, findings: &mut Findings) -> Self {
        let access_log = match options.access_log {
            model::AccessLog::Off => None,
            model::AccessLog::Text => Some(AccessLog::text(&options.access_log_format)),
            model::AccessLog::Json if options.access_log_format.is_empty() => Some(AccessLog::default()),
            model::AccessLog::Json => match format::members(&options.access_log_format) {
                Ok(members) => Some(AccessLog::json(members.iter().map(|(name, form)| (name.as_str(), form.as_str())))),
                Err(error) => {
                    findings.add("access_log_format", format!("not a JSON object of templates: {error}"));
                    Some(AccessLog::default())
                }
            },
        };
        for operator in access_log.iter().flat_map(AccessLog::unknown) {
            findings.add("access_log_format", format!("{operator} is not known and always writes -"));
        }
        let server_name = format::field_value(&options.server_name).unwrap_or_else(|message| {
            findings.add("server_name", message);
            Box::from(&b"sluice"[..])
        });
        let compression = options.gzip.as_ref().and_then(|gzip| Compression::compile(gzip, findings));
        let streams = options.http2_max_concurrent_streams;
        if streams == 0 {
            findings.add("http2_max_concurrent_streams", "must be above zero: one is used");
        }
        Self {
            server_name,
            head_limits: HeadLimits {
                max_head_bytes: options.max_request_headers_kb as usize * 1024,
                max_headers: options.max_headers as usize,
                max_target_bytes: options.max_target_bytes as usize,
            },
            normalize: NormalizePolicy {
                merge_slashes: options.merge_slashes,
                escaped_slashes: match options.escaped_slashes {
                    model::EscapedSlashes::Reject => EscapedSlashes::Reject,
                    model::EscapedSlashes::Keep => EscapedSlashes::Keep,
                },
                underscores: match options.headers_with_underscores {
                    model::Underscores::Allow => Underscores::Allow,
                    model::Underscores::Reject => Underscores::Reject,
                    model::Underscores::Drop => Underscores::Drop,
                },
                enable_http10: options.enable_http10,
                ..NormalizePolicy::default()
            },
            trust: TrustPolicy {
                use_remote_address: options.use_remote_address,
                trusted_hops: options.xff_num_trusted_hops,
                security: Security::Xfp,
                preserve_external_request_id: options.preserve_external_request_id,
            },
            request_head_timeout_ns: nanoseconds(options.request_head_timeout_ms),
            body_idle_timeout_ns: nanoseconds(options.body_idle_timeout_ms),
            listener_idle_timeout_ns: limit(options.listener_idle_timeout_ms),
            suppress_envoy_headers: options.suppress_envoy_headers,
            strip_matching_host_port: options.strip_matching_host_port,
            x_forwarded_proto_redirect: options.x_forwarded_proto_redirect,
            access_log,
            compression: compression.map(Arc::new),
            max_request_bytes: options.max_request_bytes,
            buffer_limit_bytes: options.buffer_limit_bytes.filter(|&bytes| bytes > 0),
            error_overrides: ErrorOverrides::compile(&options.error_overrides, "error_overrides", findings),
            header_case: HeaderCase::compile(options, findings),
            ip_rules: options.ip_rules.as_ref().map(|rules| Arc::new(IpRules::compile(rules, findings))),
            grpc_web: options.grpc_web,
            grpc_http11_bridge: options.grpc_http11_bridge,
            http2_max_concurrent_streams: streams.max(1),
        }
    }
}

/// Longest timeout: more than a century, so that a sum with a clock reading stays in range.
pub const UNLIMITED_NS: u64 = 1 << 62;

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000).min(UNLIMITED_NS)
}

/// As [`nanoseconds`] where zero stands for no limit (Envoy: `idle_timeout` of `HttpProtocolOptions`).
fn limit(milliseconds: u64) -> u64 {
    if milliseconds == 0 { UNLIMITED_NS } else { nanoseconds(milliseconds) }
}
