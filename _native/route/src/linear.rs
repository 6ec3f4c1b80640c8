//! The oracle: a plain scan in rank order, written for being obviously right.

use crate::matcher::{NamedMatcher, PathMatcher, PathMatcherKind, RouteMatcher, StringMatcher, StringMatcherKind};
use crate::pattern::Pattern;
use crate::query;
use crate::request::Request;

/// Index of the first route, at or after `from`, that matches. A route with a bad expression in it never does.
pub fn find(routes: &[RouteMatcher], request: &Request<'_>, from: usize) -> Option<usize> {
    (from..routes.len()).find(|&index| routes.get(index).and_then(|route| matches(route, request)) == Some(true))
}

/// Whether the route matches; `None` when one of its expressions is bad.
fn matches(route: &RouteMatcher, request: &Request<'_>) -> Option<bool> {
    let mut all = path(&route.path, request.path)?;
    if let Some(method) = &route.method {
        all &= string(method, request.method)?;
    }
    if let Some(authority) = &route.authority {
        all &= string(authority, request.host)?;
    }
    for header in &route.headers {
        all &= self::header(header, request)?;
    }
    for parameter in &route.query {
        let value = request.query.and_then(|query| query::first(query, parameter.name.as_bytes()));
        let holds = string(&parameter.value, value.as_deref().unwrap_or_default())?;
        all &= (value.is_some() && holds) != parameter.invert;
    }
    Some(all)
}

fn header(matcher: &NamedMatcher, request: &Request<'_>) -> Option<bool> {
    // Compiled before looking, so that a bad expression is found even when the header is absent.
    string(&matcher.value, b"")?;
    let name = matcher.name.to_ascii_lowercase();
    let found = request.headers.any(name.as_bytes(), &mut |value| string(&matcher.value, value) == Some(true));
    Some(found != matcher.invert)
}

fn path(matcher: &PathMatcher, path: &[u8]) -> Option<bool> {
    if matcher.kind == PathMatcherKind::Regex {
        return Some(Pattern::full(&matcher.value, matcher.ignore_case).ok()?.is_match(path));
    }
    let (want, path) = fold(matcher.value.as_bytes(), path, matcher.ignore_case);
    Some(match matcher.kind {
        PathMatcherKind::Exact => path == want,
        PathMatcherKind::Prefix => path.starts_with(&want),
        _ => {
            let want = want.strip_suffix(b"/").unwrap_or(&want);
            path == want || path.strip_prefix(want).is_some_and(|rest| rest.starts_with(b"/"))
        }
    })
}

fn string(matcher: &StringMatcher, value: &[u8]) -> Option<bool> {
    if matcher.kind == StringMatcherKind::Regex {
        return Some(Pattern::full(&matcher.value, matcher.ignore_case).ok()?.is_match(value));
    }
    let (want, value) = fold(matcher.value.as_bytes(), value, matcher.ignore_case);
    Some(match matcher.kind {
        StringMatcherKind::Exact => value == want,
        StringMatcherKind::Prefix => value.starts_with(&want),
        StringMatcherKind::Suffix => value.ends_with(&want),
        _ => true,
    })
}

fn fold(want: &[u8], value: &[u8], ignore_case: bool) -> (Vec<u8>, Vec<u8>) {
    if ignore_case { (want.to_ascii_lowercase(), value.to_ascii_lowercase()) } else { (want.to_vec(), value.to_vec()) }
}
