//! Locations of redirects (RFC 9110 section 10.2.2), always absolute and free of bytes that could end a header.

use crate::escape;
use crate::forwarded::Scheme;
use crate::rewrite::{NotNormal, PathRewrite};
use thiserror::Error;

/// What the request says about itself, normalised.
#[derive(Debug, Clone, Copy)]
pub struct RedirectRequest<'a> {
    /// Scheme as the client saw it.
    pub scheme: Scheme,
    /// Host without port; an IPv6 address is in brackets.
    pub host: &'a [u8],
    /// Port of the Host header, if it had one.
    pub port: Option<u16>,
    /// Normalised path.
    pub path: &'a [u8],
    /// Query without its question mark.
    pub query: Option<&'a [u8]>,
    /// Length of the prefix that the route matched.
    pub matched: usize,
}

/// Why a redirect cannot be compiled.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RedirectError {
    /// Not a redirection status with a Location.
    #[error("{0} is not a redirect status")]
    Status(u16),
    /// Not a host, with or without port.
    #[error("{0:?} is not a host")]
    Host(String),
    /// Not an absolute path.
    #[error("{0:?} is not a path to redirect to")]
    Path(String),
}

/// Why a request cannot be redirected: answer 400.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum BadRedirect {
    /// The path is not in normal form after the rewrite.
    #[error(transparent)]
    NotNormal(#[from] NotNormal),
    /// The request has no usable host.
    #[error("the host of the request cannot be part of a location")]
    Host,
}

/// What becomes of the path.
#[derive(Debug, Clone)]
pub enum PathChange {
    /// It stays.
    Keep,
    /// It becomes this. With a `?` in it, the query of the request is dropped (Envoy: `path_redirect`).
    Full(Box<[u8]>),
    /// It is rewritten.
    Rewrite(PathRewrite),
}

/// A compiled redirect. Parts that are `None` are taken from the request; the query is kept.
#[derive(Debug, Clone)]
pub struct Redirect {
    status: u16,
    scheme: Option<Scheme>,
    host: Option<Box<[u8]>>,
    port: Option<u16>,
    path: PathChange,
}

impl Redirect {
    /// Compile a redirect. `host` may contain a port, which `port` overrides.
    pub fn new(
        status: u16,
        scheme: Option<Scheme>,
        host: Option<&str>,
        port: Option<u16>,
        path: PathChange,
    ) -> Result<Self, RedirectError> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Err(RedirectError::Status(status));
        }
        let (host, own_port) = match host {
            None => (None, None),
            Some(text) => {
                let (name, port) = split_port(text).ok_or_else(|| RedirectError::Host(text.to_owned()))?;
                (Some(name.as_bytes().into()), port)
            }
        };
        if let PathChange::Full(path) = &path
            && (!path.starts_with(b"/") || path.starts_with(b"//"))
        {
            return Err(RedirectError::Path(String::from_utf8_lossy(path).into_owned()));
        }
        Ok(Self { status, scheme, host, port: port.or(own_port), path })
    }

    /// From cleartext to TLS: 301 to the same host and path, on `port` (`None` = 443).
    #[must_use]
    pub fn to_https(port: Option<u16>) -> Self {
        let port = Some(port.unwrap_or(Scheme::Https.default_port()));
        Self { status: 301, scheme: Some(Scheme::Https), host: None, port, path: PathChange::Keep }
    }

    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Append the value of Location for a request. On error `out` is as it was.
    ///
    /// A port of the request is kept, unless host or scheme change (Envoy drops it only if it is the default one of the
    /// old scheme, which for a changed scheme leaves a port that speaks the old one).
    pub fn location(&self, request: &RedirectRequest<'_>, out: &mut Vec<u8>) -> Result<(), BadRedirect> {
        let start = out.len();
        let result = self.write(request, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn write(&self, request: &RedirectRequest<'_>, out: &mut Vec<u8>) -> Result<(), BadRedirect> {
        let scheme = self.scheme.unwrap_or(request.scheme);
        let host = self.host.as_deref().unwrap_or(request.host);
        if !is_host(host) {
            return Err(BadRedirect::Host);
        }
        out.extend_from_slice(scheme.as_str().as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(host);
        let same_place = self.host.is_none() && scheme == request.scheme;
        let port = self.port.or(request.port.filter(|_| same_place));
        if let Some(port) = port.filter(|&port| port != scheme.default_port()) {
            out.push(b':');
            crate::civil::digits(out, port.into(), 1);
        }
        let mut query = request.query;
        match &self.path {
            PathChange::Keep => escape::uri(out, request.path),
            PathChange::Full(path) => {
                escape::uri(out, path);
                query = query.filter(|_| !path.contains(&b'?'));
            }
            PathChange::Rewrite(rewrite) => rewrite.apply(request.path, request.matched, out)?,
        }
        if let Some(query) = query {
            out.push(b'?');
            escape::uri(out, query);
        }
        Ok(())
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    is_host(name.as_bytes()).then_some((name, port))
}

/// A registered name or IPv4 address, or an IPv6 address in brackets (RFC 3986 section 3.2.2, without sub-delimiters).
fn is_host(host: &[u8]) -> bool {
    if let Some(inside) = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return !inside.is_empty() && inside.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    }
    !host.is_empty()
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}
