//! Heads between HTTP/2 or HTTP/3 and the text of HTTP/1.1.

use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request, response};

use crate::tunnel::base64;

/// A head that cannot be written in the other version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untranslatable;

/// Fields that exist only between two HTTP/1 peers (RFC 9113 section 8.2.2, RFC 9114 section 4.2).
pub(crate) fn is_connection_specific(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] =
        [b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection", b"http2-settings"];
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// Appends a field line.
pub(crate) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a request head as HTTP/1.1 text. What it says is judged by whoever parses it; an authority and a different
/// `host` become two fields, which is refused there (RFC 9113 section 8.3.1). An extended CONNECT becomes the upgrade
/// that it stands for (RFC 8441 section 5); `key` is what HTTP/1.1 wants to be asked for in it.
pub(crate) fn request_text(parts: &request::Parts, key: impl FnOnce() -> [u8; 16], out: &mut Vec<u8>) {
    let protocol = parts.extensions.get::<Protocol>();
    out.extend_from_slice(protocol.map_or(parts.method.as_str(), |_| "GET").as_bytes());
    out.push(b' ');
    let authority = parts.uri.authority().map(Authority::as_str);
    // CONNECT names an authority in place of a path; a path that is missing elsewhere is nobody's `/`.
    let target = parts.uri.path_and_query().filter(|_| !parts.uri.path().is_empty()).map(PathAndQuery::as_str);
    let instead = authority.filter(|_| parts.method == Method::CONNECT);
    out.extend_from_slice(target.or(instead).unwrap_or_default().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = authority {
        line(out, b"host", authority.as_bytes());
    }
    for (name, value) in &parts.headers {
        let repeated = name == http::header::HOST && authority.is_some_and(|host| host.as_bytes() == value.as_bytes());
        if name != http::header::COOKIE && !repeated {
            line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    // RFC 9113 section 8.2.3: the crumbs of a cookie become one field again.
    let mut crumbs = parts.headers.get_all(http::header::COOKIE).iter();
    if let Some(first) = crumbs.next() {
        out.extend_from_slice(b"cookie: ");
        out.extend_from_slice(first.as_bytes());
        for crumb in crumbs {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(crumb.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    if let Some(protocol) = protocol {
        upgrade(out, protocol.as_str().as_bytes(), key);
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields that make an upgrade of an extended CONNECT (RFC 8441 section 5); `key` is what HTTP/1.1 wants to be asked
/// for in that of WebSocket.
pub(crate) fn upgrade(out: &mut Vec<u8>, protocol: &[u8], key: impl FnOnce() -> [u8; 16]) {
    line(out, b"connection", b"Upgrade");
    line(out, b"upgrade", protocol);
    if protocol.eq_ignore_ascii_case(b"websocket") {
        line(out, b"sec-websocket-key", &base64(&key()));
    }
}

/// The answer to an extended CONNECT for a switch of protocols over HTTP/1.1, given as text: 200, without the proof that
/// belongs to the key.
pub(crate) fn tunnel_text(switch: &[u8]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 \r\n".to_vec();
    for (name, value) in lines(switch, first_line(switch).unwrap_or(switch.len())) {
        if !name.eq_ignore_ascii_case(b"sec-websocket-accept") {
            line(&mut out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends a response head as HTTP/1.1 text.
pub(crate) fn response_text(parts: &response::Parts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
    for (name, value) in &parts.headers {
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Names and values of a head, whose first line is `from` bytes long.
pub(crate) fn lines(text: &[u8], from: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        // Neither names nor values have a carriage return in them: whoever wrote the text saw to that.
        let end = memchr::memchr(b'\r', rest).filter(|&end| end > 0)?;
        let colon = memchr::memchr(b':', &rest[..end])?;
        let start = if rest.get(colon + 1) == Some(&b' ') { colon + 2 } else { colon + 1 };
        at += end + 2;
        Some((&rest[..colon], &rest[start.min(end)..end]))
    })
}

fn append(headers: &mut HeaderMap, name: &[u8], value: Bytes) -> Result<(), Untranslatable> {
    // The name becomes lower case, as HTTP/2 wants it.
    let name = HeaderName::from_bytes(name).map_err(|_| Untranslatable)?;
    headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Untranslatable)?);
    Ok(())
}

/// Length of the first line with its end.
pub(crate) fn first_line(text: &[u8]) -> Result<usize, Untranslatable> {
    memchr::memchr(b'\r', text).map(|end| end + 2).ok_or(Untranslatable)
}

/// The status of a response from the text of its head.
pub(crate) fn status(text: &[u8]) -> Result<StatusCode, Untranslatable> {
    text.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok()).ok_or(Untranslatable)
}

/// A response from the text of an HTTP/1.1 head.
pub(crate) fn response(text: &Bytes) -> Result<Response<()>, Untranslatable> {
    let start = first_line(text)?;
    let mut response = Response::new(());
    *response.status_mut() = status(text)?;
    *response.version_mut() = Version::HTTP_2;
    for (name, value) in lines(text, start) {
        if !is_connection_specific(name) {
            append(response.headers_mut(), name, text.slice_ref(value))?;
        }
    }
    Ok(response)
}

/// A request from the text of an HTTP/1.1 head.
pub(crate) fn request(text: &Bytes, scheme: Scheme) -> Result<Request<()>, Untranslatable> {
    let start = first_line(text)?;
    let mut words = text[..start - 2].split(|&byte| byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok()).ok_or(Untranslatable)?;
    let path = words.next().ok_or(Untranslatable)?;
    let path = PathAndQuery::from_maybe_shared(text.slice_ref(path)).map_err(|_| Untranslatable)?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_2;
    let mut authority = None;
    for (name, value) in lines(text, start) {
        if name.eq_ignore_ascii_case(b"host") && authority.is_none() {
            authority = Some(Authority::from_maybe_shared(text.slice_ref(value)).map_err(|_| Untranslatable)?);
        } else if !is_connection_specific(name) {
            append(request.headers_mut(), name, text.slice_ref(value))?;
        }
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.ok_or(Untranslatable)?);
    parts.path_and_query = Some(path);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Untranslatable)?;
    Ok(request)
}

/// Trailers from pairs; a pair that HTTP/2 cannot carry is left out.
pub(crate) fn trailers<'t>(pairs: impl Iterator<Item = (&'t [u8], &'t [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        if !is_connection_specific(name) {
            let _left_out = append(&mut map, name, Bytes::copy_from_slice(value));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(request: Request<()>) -> String {
        let mut out = Vec::new();
        request_text(&request.into_parts().0, || [0; 16], &mut out);
        String::from_utf8(out).expect("a head is text here")
    }

    #[test]
    fn a_request_becomes_text() {
        let request = Request::builder()
            .uri("https://example.com/a?b=c")
            .header("cookie", "a=1")
            .header("x-one", "1")
            .header("cookie", "b=2")
            .header("host", "example.com")
            .body(())
            .expect("valid");
        assert_eq!(
            text_of(request),
            "GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nx-one: 1\r\ncookie: a=1; b=2\r\n\r\n"
        );
    }

    #[test]
    fn an_extended_connect_becomes_an_upgrade() {
        let mut request = Request::builder()
            .method("CONNECT")
            .uri("https://example.com/chat")
            .header("sec-websocket-version", "13")
            .body(())
            .expect("valid");
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        assert_eq!(
            text_of(request),
            "GET /chat HTTP/1.1\r\nhost: example.com\r\nsec-websocket-version: 13\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
    }

    #[test]
    fn another_host_stays_visible() {
        let request = Request::builder().uri("https://example.com/").header("host", "other").body(()).expect("valid");
        assert_eq!(text_of(request), "GET / HTTP/1.1\r\nhost: example.com\r\nhost: other\r\n\r\n");
    }

    #[test]
    fn a_path_that_is_missing_is_not_invented() {
        let mut request = Request::builder().header("host", "a").body(()).expect("valid");
        *request.uri_mut() = Uri::from_parts(http::uri::Parts::default()).expect("valid");
        assert_eq!(text_of(request), "GET  HTTP/1.1\r\nhost: a\r\n\r\n");
        let request = Request::builder().method("CONNECT").uri("a:80").body(()).expect("valid");
        assert!(text_of(request).starts_with("CONNECT a:80 HTTP/1.1\r\n"));
    }

    #[test]
    fn text_becomes_a_request_without_fields_of_the_connection() {
        let text = Bytes::from_static(
            b"POST /x?y HTTP/1.1\r\nhost: a.example:81\r\nX-Two: b: c\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        let request = request(&text, Scheme::HTTPS).expect("translatable");
        assert_eq!(request.uri(), "https://a.example:81/x?y");
        assert_eq!(request.headers().len(), 2);
        assert_eq!(request.headers()["x-two"], "b: c");
    }

    #[test]
    fn text_becomes_a_response() {
        let text = Bytes::from_static(b"HTTP/1.1 404 Not Found\r\nServer: x\r\nempty: \r\nconnection: close\r\n\r\n");
        let response = response(&text).expect("translatable");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["server"], "x");
        assert_eq!(response.headers()["empty"], "");
        assert!(!response.headers().contains_key("connection"));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for text in [&b"HTTP/1.1 20"[..], b"nonsense", b"HTTP/1.1 099 x\r\n\r\n"] {
            assert!(response(&Bytes::copy_from_slice(text)).is_err(), "{text:?}");
        }
        for text in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n"] {
            assert!(request(&Bytes::copy_from_slice(text), Scheme::HTTP).is_err(), "{text:?}");
        }
    }
}
