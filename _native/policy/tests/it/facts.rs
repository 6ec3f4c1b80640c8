//! A request for the tests that need one.

use sluice_policy::{Headers, LogRecord, RequestFacts, Scheme};

pub(crate) fn request(headers: &dyn Headers) -> RequestFacts<'_> {
    RequestFacts {
        method: b"GET",
        path: b"/api/x?q=1",
        original_path: None,
        authority: b"example.com",
        scheme: Scheme::Https,
        protocol: "HTTP/1.1",
        start_unix_ns: 1_709_208_000_123_000_000,
        client: "203.0.113.9".parse().unwrap(),
        client_port: 4711,
        peer: "10.0.0.7".parse().unwrap(),
        request_id: b"6f1c5bb0-0000-4000-8000-000000000001",
        forwarded_for: Some(b"203.0.113.9,10.0.0.7"),
        headers,
    }
}

pub(crate) fn record(headers: &dyn Headers) -> LogRecord<'_> {
    LogRecord {
        request: request(headers),
        status: 200,
        flags: "",
        bytes_received: 0,
        bytes_sent: 512,
        duration_us: 4_999,
        upstream_service_ms: Some(3),
        upstream_host: Some("10.1.2.3:8080".parse().unwrap()),
        upstream_cluster: Some("quote"),
        route: Some("quote-route"),
        config_version: 12,
        response: &(),
    }
}
