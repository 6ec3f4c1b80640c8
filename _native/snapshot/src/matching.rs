//! From the wire form of comparisons to the input of the route table.

use sluice_route::{NamedMatcher, PathMatcher, PathMatcherKind, RouteMatcher, StringMatcher, StringMatcherKind};

use crate::model;

pub(crate) fn string(matcher: model::StringMatch) -> StringMatcher {
    let kind = match matcher.kind {
        model::StringMatchKind::Exact => StringMatcherKind::Exact,
        model::StringMatchKind::Prefix => StringMatcherKind::Prefix,
        model::StringMatchKind::Suffix => StringMatcherKind::Suffix,
        model::StringMatchKind::Regex => StringMatcherKind::Regex,
        model::StringMatchKind::Present => StringMatcherKind::Present,
    };
    StringMatcher { kind, value: matcher.value, ignore_case: matcher.ignore_case }
}

fn named(matcher: model::NamedMatch) -> NamedMatcher {
    NamedMatcher { name: matcher.name, value: string(matcher.value), invert: matcher.invert }
}

pub(crate) fn route(matcher: model::RouteMatch) -> RouteMatcher {
    let kind = match matcher.path.kind {
        model::PathMatchKind::Exact => PathMatcherKind::Exact,
        model::PathMatchKind::Prefix => PathMatcherKind::Prefix,
        model::PathMatchKind::SegmentPrefix => PathMatcherKind::SegmentPrefix,
        model::PathMatchKind::Regex => PathMatcherKind::Regex,
    };
    RouteMatcher {
        path: PathMatcher { kind, value: matcher.path.value, ignore_case: matcher.path.ignore_case },
        method: matcher.method.map(string),
        authority: matcher.authority.map(string),
        headers: matcher.headers.into_iter().map(named).collect(),
        query: matcher.query.into_iter().map(named).collect(),
    }
}
