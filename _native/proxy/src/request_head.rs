//! The request head that goes upstream: what was received, minus what must not pass, plus what the gateway states.

use std::io::Write;
use std::net::IpAddr;

use sluice_http1::{HeaderEntry, HeaderKind, RequestHead};
use sluice_policy::ClientInfo;
use sluice_policy::HeaderEdits;
use sluice_policy::facts::RequestFacts;
use sluice_snapshot::HeaderCase;

use crate::transform::HeadChange;

/// How the body goes upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyHeader {
    /// No body header at all.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Everything the upstream head is made of.
pub struct UpstreamHead<'r> {
    /// The parsed request.
    pub head: &'r RequestHead,
    /// The bytes it was parsed from.
    pub bytes: &'r [u8],
    /// Length of the head in `bytes`.
    pub head_len: usize,
    /// Path after rewriting.
    pub path: &'r [u8],
    /// Path before rewriting, when that differs.
    pub original_path: Option<&'r [u8]>,
    /// Value of `Host`.
    pub host: &'r [u8],
    /// Who the client is.
    pub client: &'r ClientInfo,
    /// Source address of the connection.
    pub peer: IpAddr,
    /// Whether the peer is appended to `X-Forwarded-For`.
    pub append_peer: bool,
    /// Generated id; not used when the client's own is kept.
    pub request_id: &'r [u8; 36],
    /// The route's timeout, stated to the upstream when not 0.
    pub timeout_ms: u64,
    /// Leave out all `x-envoy-*` headers.
    pub suppress_envoy: bool,
    /// Body framing.
    pub body: BodyHeader,
    /// Protocol to upgrade to.
    pub upgrade: Option<&'r [u8]>,
    /// The route's edits.
    pub edits: &'r HeaderEdits,
    /// Values for edits with variables.
    pub edit_facts: &'r RequestFacts<'r>,
    /// Headers removed by a filter, lower case.
    pub filter_remove: &'r [String],
    /// Headers set by a filter; they replace the client's.
    pub filter_set: &'r [(String, String)],
    /// What a bridge or compression changes.
    pub change: Option<&'r HeadChange>,
    /// How names are written.
    pub case: &'r HeaderCase,
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the text form of an address: what `Display` writes, without a detour through a string.
pub(crate) fn append_ip(out: &mut Vec<u8>, address: IpAddr) {
    // Writing to a Vec cannot fail.
    drop(write!(out, "{address}"));
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

impl UpstreamHead<'_> {
    /// Appends the head to `out`, from the request line to the empty line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.request_line(out);
        line(out, b"host", self.host);
        self.received_headers(out);
        self.forwarded_headers(out);
        self.stated_headers(out);
        for (name, value) in self.filter_set {
            line(out, name.as_bytes(), value.as_bytes());
        }
        if let Some(change) = self.change {
            out.extend_from_slice(&change.lines);
        }
        self.edits.append_added(out, self.edit_facts);
        match self.body {
            BodyHeader::None => {}
            BodyHeader::Length(length) => {
                out.extend_from_slice(b"content-length: ");
                append_number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            BodyHeader::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        if let Some(protocol) = self.upgrade {
            out.extend_from_slice(b"connection: Upgrade\r\n");
            line(out, b"upgrade", protocol);
        }
        out.extend_from_slice(b"\r\n");
        self.case.apply(&mut out[start..]);
    }

    fn request_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.method_span.of(self.bytes));
        out.push(b' ');
        out.extend_from_slice(self.path);
        if let Some(query) = self.head.query(self.bytes) {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// Copies the received lines that pass, neighbours in one piece.
    fn received_headers(&self, out: &mut Vec<u8>) {
        let edited = !self.edits.is_empty() || !self.filter_remove.is_empty() || !self.filter_set.is_empty();
        let lines_end = self.head_len.saturating_sub(2);
        let entries = &self.head.headers;
        let mut run: Option<usize> = None;
        for entry in entries {
            let start = entry.name.start as usize;
            let passes = self.passes(entry)
                && !(edited && self.is_edited(entry))
                && !self.change.is_some_and(|change| change.drops(entry.name.of(self.bytes)));
            match (passes, run) {
                (true, None) => run = Some(start),
                (false, Some(from)) => {
                    out.extend_from_slice(self.bytes.get(from..start).unwrap_or_default());
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(from) = run {
            out.extend_from_slice(self.bytes.get(from..lines_end).unwrap_or_default());
        }
    }

    fn passes(&self, entry: &HeaderEntry) -> bool {
        if entry.drop {
            return false;
        }
        match entry.kind {
            HeaderKind::Host
            | HeaderKind::ContentLength
            | HeaderKind::TransferEncoding
            | HeaderKind::Connection
            | HeaderKind::KeepAlive
            | HeaderKind::ProxyConnection
            | HeaderKind::Upgrade
            | HeaderKind::Expect
            | HeaderKind::Te
            | HeaderKind::Http2Settings
            | HeaderKind::XForwardedFor
            | HeaderKind::XForwardedProto => false,
            HeaderKind::XForwardedHost
            | HeaderKind::XForwardedPort
            | HeaderKind::XForwardedOther
            | HeaderKind::Forwarded
            | HeaderKind::XRealIp
            | HeaderKind::XRequestId
            | HeaderKind::XEnvoy => {
                let name = entry.name.of(self.bytes).to_ascii_lowercase();
                self.client.forwards(&name)
            }
            _ => true,
        }
    }

    fn is_edited(&self, entry: &HeaderEntry) -> bool {
        let name = entry.name.of(self.bytes);
        self.edits.removes(name)
            || self.filter_remove.iter().any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()))
            || self.filter_set.iter().any(|(set, _)| name.eq_ignore_ascii_case(set.as_bytes()))
    }

    fn forwarded_headers(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"x-forwarded-for: ");
        let start = out.len();
        for entry in self.head.headers.iter().filter(|entry| entry.kind == HeaderKind::XForwardedFor) {
            if out.len() > start {
                out.extend_from_slice(b",");
            }
            out.extend_from_slice(entry.value.of(self.bytes));
        }
        if self.append_peer {
            if out.len() > start {
                out.push(b',');
            }
            append_ip(out, self.peer);
        }
        if out.len() == start {
            out.truncate(start - b"x-forwarded-for: ".len());
        } else {
            out.extend_from_slice(b"\r\n");
        }
        line(out, b"x-forwarded-proto", self.client.scheme.as_str().as_bytes());
        let kept = self.client.keep_request_id && self.head.headers.iter().any(|e| e.kind == HeaderKind::XRequestId);
        if !kept {
            line(out, b"x-request-id", self.request_id);
        }
    }

    fn stated_headers(&self, out: &mut Vec<u8>) {
        if self.head.te_trailers() {
            out.extend_from_slice(b"te: trailers\r\n");
        }
        if self.suppress_envoy {
            return;
        }
        if let Some(address) = self.client.external_address() {
            out.extend_from_slice(b"x-envoy-external-address: ");
            append_ip(out, address);
            out.extend_from_slice(b"\r\n");
        } else if self.client.internal {
            out.extend_from_slice(b"x-envoy-internal: true\r\n");
        }
        if self.timeout_ms != 0 {
            out.extend_from_slice(b"x-envoy-expected-rq-timeout-ms: ");
            append_number(out, self.timeout_ms);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(path) = self.original_path {
            out.extend_from_slice(b"x-envoy-original-path: ");
            out.extend_from_slice(path);
            if let Some(query) = self.head.query(self.bytes) {
                out.push(b'?');
                out.extend_from_slice(query);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}
