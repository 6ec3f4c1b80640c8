//! Request heads for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sluice_http1::{Framing, HeadLimits, NormalizePolicy, Version, parse_request};

use crate::errors::ParseError;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A parsed and normalised HTTP/1 request head.
#[pyclass(frozen, get_all, module = "gateway._native")]
pub(crate) struct RequestHead {
    method: String,
    target: String,
    path: String,
    query: Option<String>,
    host: String,
    port: Option<u16>,
    version: &'static str,
    headers: Vec<(String, String)>,
    content_length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
    size: usize,
}

/// Parse a head; ``None`` while incomplete; raises :class:`ParseError`.
#[pyfunction]
pub(crate) fn parse_request_head(data: &Bound<'_, PyBytes>) -> PyResult<Option<RequestHead>> {
    let bytes = data.as_bytes();
    let mut head = sluice_http1::RequestHead::new();
    let parsed = parse_request(bytes, &HeadLimits::default(), &NormalizePolicy::default(), &mut head);
    let Some(size) = parsed.map_err(|error| ParseError::new_err((error.status, error.reason.as_str())))? else {
        return Ok(None);
    };
    Ok(Some(RequestHead {
        method: text(head.method_span.of(bytes)),
        target: text(head.target.of(bytes)),
        path: text(head.path(bytes)),
        query: head.query(bytes).map(text),
        host: text(head.host(bytes)),
        port: head.port,
        version: if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" },
        headers: head.headers.iter().map(|entry| (text(entry.name.of(bytes)), text(entry.value.of(bytes)))).collect(),
        content_length: match head.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        },
        chunked: head.framing == Framing::Chunked,
        keep_alive: head.keep_alive,
        size,
    }))
}
