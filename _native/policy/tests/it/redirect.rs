use proptest::prelude::*;
use sluice_policy::redirect::{BadRedirect, PathChange, Redirect, RedirectRequest};
use sluice_policy::{PathRewrite, Scheme};

fn request<'a>(host: &'a str, port: Option<u16>, path: &'a str, query: Option<&'a str>) -> RedirectRequest<'a> {
    RedirectRequest {
        scheme: Scheme::Http,
        host: host.as_bytes(),
        port,
        path: path.as_bytes(),
        query: query.map(str::as_bytes),
        matched: 4,
    }
}

fn location(redirect: &Redirect, request: &RedirectRequest<'_>) -> Result<String, BadRedirect> {
    let mut out = Vec::new();
    redirect.location(request, &mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn to_https() {
    for (port, host, request_port, want) in [
        (None, "a.example", None, "https://a.example/api/x?q=1"),
        (None, "a.example", Some(80), "https://a.example/api/x?q=1"),
        (None, "a.example", Some(8080), "https://a.example/api/x?q=1"),
        (Some(443), "a.example", Some(8080), "https://a.example/api/x?q=1"),
        (Some(8443), "a.example", None, "https://a.example:8443/api/x?q=1"),
        (None, "[2001:db8::1]", Some(80), "https://[2001:db8::1]/api/x?q=1"),
    ] {
        let redirect = Redirect::to_https(port);
        assert_eq!(redirect.status(), 301);
        assert_eq!(location(&redirect, &request(host, request_port, "/api/x", Some("q=1"))).as_deref(), Ok(want));
    }
}

#[test]
fn parts() {
    let new = |scheme, host, port, path| Redirect::new(302, scheme, host, port, path).unwrap();
    let full = |path: &str| PathChange::Full(path.as_bytes().into());
    let prefix = PathChange::Rewrite(PathRewrite::prefix("/v2").unwrap());
    for (redirect, want) in [
        (new(None, None, None, PathChange::Keep), "http://a.example:8080/api/x?q=1"),
        (new(None, Some("b.example"), None, PathChange::Keep), "http://b.example/api/x?q=1"),
        (new(None, Some("b.example:81"), None, PathChange::Keep), "http://b.example:81/api/x?q=1"),
        (new(None, Some("b.example:81"), Some(82), PathChange::Keep), "http://b.example:82/api/x?q=1"),
        (new(None, None, Some(80), PathChange::Keep), "http://a.example/api/x?q=1"),
        (new(Some(Scheme::Https), None, None, PathChange::Keep), "https://a.example/api/x?q=1"),
        (new(Some(Scheme::Http), None, None, PathChange::Keep), "http://a.example:8080/api/x?q=1"),
        (new(None, None, None, full("/new")), "http://a.example:8080/new?q=1"),
        (new(None, None, None, full("/new?own=1")), "http://a.example:8080/new?own=1"),
        (new(None, None, None, prefix), "http://a.example:8080/v2/x?q=1"),
        (new(None, Some("[::1]"), None, full("/a b")), "http://[::1]/a%20b?q=1"),
    ] {
        assert_eq!(
            location(&redirect, &request("a.example", Some(8080), "/api/x", Some("q=1"))).as_deref(),
            Ok(want),
            "{redirect:?}"
        );
    }
}

#[test]
fn refusals() {
    let host = |host| Redirect::new(301, None, Some(host), None, PathChange::Keep);
    for bad in ["", "a b", "a/b", "user@evil", "a\r\nx", "a:b", "a:99999", ":80", "[::1", "[]", "a?b", "ä.example"] {
        assert!(host(bad).is_err(), "{bad}");
    }
    for status in [200, 300, 304, 305, 306, 400] {
        assert!(Redirect::new(status, None, None, None, PathChange::Keep).is_err(), "{status}");
    }
    for path in ["", "x", "//evil.example"] {
        assert!(Redirect::new(301, None, None, None, PathChange::Full(path.as_bytes().into())).is_err(), "{path}");
    }
    let keep = Redirect::to_https(None);
    for bad in ["", "a b", "a/b", "user@evil", "a\r\nx: y", "a\\b"] {
        assert_eq!(location(&keep, &request(bad, None, "/", None)), Err(BadRedirect::Host), "{bad}");
    }
    let strip = Redirect::new(301, None, None, None, PathChange::Rewrite(PathRewrite::prefix("").unwrap())).unwrap();
    assert!(matches!(location(&strip, &request("a", None, "/api../x", None)), Err(BadRedirect::NotNormal(_))));
}

proptest! {
    #[test]
    fn nothing_leaves_the_header(path in proptest::collection::vec(any::<u8>(), 0..40), query in proptest::collection::vec(any::<u8>(), 0..40)) {
        let request = RedirectRequest { path: &path, query: Some(&query), ..request("a.example", None, "/", None) };
        let text = location(&Redirect::to_https(None), &request).unwrap();
        prop_assert!(text.starts_with("https://a.example"));
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
