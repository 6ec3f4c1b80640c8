//! Small tables with names for what they show.

use sluice_route::{
    NamedMatcher, NoHeaders, PathMatcher, PathMatcherKind as Path, Request, RouteMatcher, RouteTable, StringMatcher,
    StringMatcherKind as Text,
};

fn route(kind: Path, value: &str) -> RouteMatcher {
    RouteMatcher::path(PathMatcher::new(kind, value))
}

fn request(path: &str) -> Request<'_> {
    Request { method: b"GET", host: b"example.com", path: path.as_bytes(), query: None, headers: &NoHeaders }
}

fn find(routes: &[RouteMatcher], path: &str) -> Option<usize> {
    let (table, errors) = RouteTable::compile(routes);
    assert_eq!(errors, []);
    table.find(&request(path), 0)
}

#[test]
fn rank_beats_length() {
    let routes = [route(Path::Prefix, "/"), route(Path::Prefix, "/api"), route(Path::Exact, "/api")];
    assert_eq!(find(&routes, "/api"), Some(0));
    let (table, _) = RouteTable::compile(&routes);
    assert_eq!(table.find(&request("/api"), 1), Some(1));
    assert_eq!(table.find(&request("/api"), 2), Some(2));
    assert_eq!(table.find(&request("/api"), 3), None);
    assert_eq!(table.find(&request("/apix"), 2), None);
}

#[test]
fn prefixes_and_segments() {
    let plain = [route(Path::Prefix, "/man")];
    assert_eq!(find(&plain, "/mankind"), Some(0));
    for value in ["/foo", "/foo/"] {
        let segments = [route(Path::SegmentPrefix, value)];
        for (path, want) in [("/foo", true), ("/foo/", true), ("/foo/bar", true), ("/foobar", false), ("/", false)] {
            assert_eq!(find(&segments, path).is_some(), want, "{value} {path}");
        }
    }
    assert_eq!(find(&[route(Path::SegmentPrefix, "/")], "/any"), Some(0));
}

#[test]
fn case() {
    let mut routes = [route(Path::Prefix, "/Api"), route(Path::Prefix, "/Api"), route(Path::Exact, "/X")];
    assert_eq!(find(&routes, "/aPI/x"), None);
    routes[1].path.ignore_case = true;
    routes[2].path.ignore_case = true;
    assert_eq!(find(&routes, "/aPI/x"), Some(1));
    assert_eq!(find(&routes, "/Api/x"), Some(0));
    assert_eq!(find(&routes, "/x"), Some(2));
}

#[test]
fn headers_and_query() {
    let named = |name: &str, value, invert| NamedMatcher { name: name.to_owned(), value, invert };
    let mut routes = [route(Path::Prefix, "/"), route(Path::Prefix, "/"), route(Path::Prefix, "/")];
    routes[0].headers = vec![named("X-Version", StringMatcher::new(Text::Regex, "v[0-9]"), false)];
    routes[1].query = vec![named("q", StringMatcher::new(Text::Exact, "a b&c"), false)];
    routes[2].headers = vec![named("X-Off", StringMatcher::new(Text::Present, ""), true)];
    let (table, _) = RouteTable::compile(&routes);
    let find = |headers: &[(&str, &str)], query: &str| {
        let headers = headers.to_vec();
        table.find(&Request { query: Some(query.as_bytes()), headers: &headers, ..request("/") }, 0)
    };
    assert_eq!(find(&[("x-version", "v1")], ""), Some(0));
    assert_eq!(find(&[("x-version", "v10"), ("X-VERSION", "v2")], ""), Some(0));
    assert_eq!(find(&[("x-version", "v10")], ""), Some(2));
    assert_eq!(find(&[("x-off", "")], ""), None);
    assert_eq!(find(&[], "x=1&q=a+b%26c"), Some(1));
    assert_eq!(find(&[], "q=other&q=a+b%26c"), Some(2));
}

#[test]
fn a_bad_route_is_left_out_and_named() {
    let mut routes = [route(Path::Regex, "/a("), route(Path::Prefix, "/"), route(Path::Prefix, "/")];
    routes[1].headers = vec![
        NamedMatcher { name: "a".to_owned(), value: StringMatcher::new(Text::Present, ""), invert: true },
        NamedMatcher { name: "b".to_owned(), value: StringMatcher::new(Text::Regex, "[z-a]"), invert: false },
    ];
    let (table, errors) = RouteTable::compile(&routes);
    let fields: Vec<_> = errors.iter().map(|error| (error.index, error.field.as_str())).collect();
    assert_eq!(fields, [(0, "path"), (1, "headers[1]")]);
    assert_eq!(table.find(&request("/a"), 0), Some(2));
    assert_eq!(table.len(), 3);
}
