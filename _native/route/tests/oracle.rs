//! The compiled table and the linear scan agree on random tables whose alphabets are small enough for collisions.

use proptest::prelude::*;
use sluice_route::{
    NamedMatcher, PathMatcher, PathMatcherKind, Request, RouteMatcher, RouteTable, StringMatcher, StringMatcherKind,
    linear,
};

fn text() -> impl Strategy<Value = String> {
    "[aAb/]{0,5}"
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof!["/[aAb/]{0,6}", "(/[aAb]{1,2}){0,4}", "/"]
}

fn regex() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/a.*".to_owned()),
        Just("/(a|b)+/?".to_owned()),
        Just("^/ab?".to_owned()),
        Just(".*b".to_owned()),
        Just("/[ab]/a$".to_owned()),
        Just("/aa|/b.*".to_owned()),
        Just("(?:/a)+.*".to_owned()),
        Just("(".to_owned()),
        Just("(?i)/A.*".to_owned()),
        Just(String::new()),
    ]
}

fn string() -> impl Strategy<Value = StringMatcher> {
    let kinds = prop_oneof![
        (Just(StringMatcherKind::Exact), text()),
        (Just(StringMatcherKind::Prefix), text()),
        (Just(StringMatcherKind::Suffix), text()),
        (Just(StringMatcherKind::Regex), regex()),
        (Just(StringMatcherKind::Present), text()),
    ];
    (kinds, any::<bool>()).prop_map(|((kind, value), ignore_case)| StringMatcher { kind, value, ignore_case })
}

fn path_matcher() -> impl Strategy<Value = PathMatcher> {
    let kinds = prop_oneof![
        (Just(PathMatcherKind::Exact), path()),
        (Just(PathMatcherKind::Prefix), path()),
        (Just(PathMatcherKind::SegmentPrefix), path()),
        (Just(PathMatcherKind::Regex), regex()),
    ];
    (kinds, any::<bool>()).prop_map(|((kind, value), ignore_case)| PathMatcher { kind, value, ignore_case })
}

fn named() -> impl Strategy<Value = NamedMatcher> {
    ("[xyX]", string(), any::<bool>()).prop_map(|(name, value, invert)| NamedMatcher { name, value, invert })
}

fn seldom<T: std::fmt::Debug + Clone>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.25, one)
}

fn route() -> impl Strategy<Value = RouteMatcher> {
    let named = || proptest::collection::vec(named(), 0..2);
    let lists = prop_oneof![3 => Just((Vec::new(), Vec::new())), 1 => (named(), named())];
    (path_matcher(), seldom(string()), seldom(string()), lists).prop_map(
        |(path, method, authority, (headers, query))| RouteMatcher { path, method, authority, headers, query },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_linear_scan(
        routes in proptest::collection::vec(route(), 0..24),
        requests in proptest::collection::vec(
            (
                path(), text(), text(),
                proptest::option::of("([xyX]=?[aAb/+%41]{0,3}&?){0,3}"),
                proptest::collection::vec(("[xyX]", text()), 0..3),
            ),
            1..8,
        ),
    ) {
        let (table, errors) = RouteTable::compile(&routes);
        prop_assert_eq!(table.len(), routes.len());
        for (path, method, host, query, headers) in &requests {
            let request = Request {
                method: method.as_bytes(),
                host: host.as_bytes(),
                path: path.as_bytes(),
                query: query.as_deref().map(str::as_bytes),
                headers,
            };
            for from in 0..=routes.len() {
                let found = table.find(&request, from);
                prop_assert_eq!(found, linear::find(&routes, &request, from), "from {}", from);
                prop_assert!(found.is_none_or(|found| errors.iter().all(|error| error.index != found)));
            }
        }
    }
}
