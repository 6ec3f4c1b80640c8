//! Deltas: sharing, last good sections, and the equality with a full compile.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_snapshot::{Compiled, SnapshotError};
use support::{cluster, decide, delta, full, host, issues, listener, route};

#[test]
fn unchanged_sections_are_shared_and_see_changed_clusters() {
    let first = full(&[
        ("listener", listener("http", &["a", "b"])),
        ("virtual_host", host("a", &["a"], &[route("a", "/")])),
        ("virtual_host", host("b", &["b"], &[route("b", "/")])),
        ("cluster", cluster("one", "10.0.0.1")),
    ]);
    let change = delta(2, Some(1), &[("cluster", cluster("one", "10.0.0.2"))], &[]);
    let second = Compiled::apply(Some(&first), &change).unwrap();
    assert_eq!(decide(&first, "a", "/", true, 0.0), "a to one Some([(10.0.0.1:80, 1)])");
    assert_eq!(decide(&second, "a", "/", true, 0.0), "a to one Some([(10.0.0.2:80, 1)])");
    assert!(Arc::ptr_eq(first.virtual_host("a").unwrap(), second.virtual_host("a").unwrap()));
    assert!(Arc::ptr_eq(first.listener("http").unwrap(), second.listener("http").unwrap()));
    let (one, two) = (first.cluster_named("one").unwrap(), second.cluster_named("one").unwrap());
    assert_eq!(one.id, two.id);
    assert_eq!(one.generation, two.generation, "connections to endpoints that stay are used on");
    let change = delta(3, Some(2), &[("virtual_host", host("b", &["b"], &[]))], &["cluster/one"]);
    let third = Compiled::apply(Some(&second), &change).unwrap();
    assert!(Arc::ptr_eq(second.virtual_host("a").unwrap(), third.virtual_host("a").unwrap()));
    assert_eq!(decide(&third, "a", "/", true, 0.0), "a to one None");
    assert_eq!(decide(&third, "b", "/", true, 0.0), "no route");
    let again =
        Compiled::apply(Some(&third), &delta(9, None, &[("cluster", cluster("one", "10.0.0.2"))], &[])).unwrap();
    assert_eq!(again.cluster_named("one").unwrap().generation, two.generation);
    assert!(again.listener("http").is_none());
}

#[test]
fn a_bad_section_keeps_its_last_good_version() {
    let first = full(&[
        ("listener", listener("http", &["a"])),
        ("virtual_host", host("a", &["a"], &[route("a", "/")])),
        ("cluster", cluster("one", "10.0.0.1")),
    ]);
    let bad = [
        ("virtual_host", json!({"name": "a", "surprise": 1})),
        ("cluster", json!({"name": "one"})),
        ("listener", json!({"name": "http", "port": 99_999})),
        ("virtual_host", json!({"name": "new"})),
        ("unicorn", json!({"name": "x"})),
    ];
    for base in [Some(1), None] {
        let second = Compiled::apply(Some(&first), &delta(2, base, &bad, &[])).unwrap();
        assert_eq!(decide(&second, "a", "/", true, 0.0), "a to one Some([(10.0.0.1:80, 1)])");
        let sections: Vec<_> = issues(&second).into_iter().map(|(section, _)| section).collect();
        assert_eq!(sections, ["cluster/one", "listener/http", "unicorn/x", "virtual_host/a", "virtual_host/new"]);
        let good = [("virtual_host", host("a", &["a"], &[]))];
        let gone = ["virtual_host/new", "unicorn/x", "cluster/one"];
        let third = Compiled::apply(Some(&second), &delta(3, Some(2), &good, &gone)).unwrap();
        assert_eq!(issues(&third), [("listener/http".to_owned(), String::new())]);
        assert_eq!(decide(&third, "a", "/", true, 0.0), "no route");
    }
}

#[test]
fn wrong_bases_and_wrong_names_are_refused() {
    let first = full(&[]);
    let wrong = Compiled::apply(Some(&first), &delta(3, Some(2), &[], &[]));
    assert!(matches!(wrong, Err(SnapshotError::Base { wanted: 2, current: Some(1) })));
    assert!(matches!(Compiled::apply(None, &delta(3, Some(2), &[], &[])), Err(SnapshotError::Base { .. })));
    assert!(matches!(Compiled::apply(None, b"{"), Err(SnapshotError::Json(_))));
    let body = host("a", &["a"], &[]);
    let text = json!({"version": 1, "base": null, "upsert": [{"key": "virtual_host/b", "slot": 0, "body": body}], "remove": []});
    let compiled = Compiled::apply(None, text.to_string().as_bytes()).unwrap();
    assert_eq!(issues(&compiled), [("virtual_host/b".to_owned(), "name".to_owned())]);
}

#[test]
fn options() {
    let compiled = full(&[]);
    assert_eq!(compiled.options.server_name.as_ref(), b"sluice");
    let body = json!({"server_name": "x\r\n", "access_log": "json", "access_log_format": "nonsense", "xff_num_trusted_hops": 2});
    let compiled = full(&[("options", body), ("listener", listener("http", &[]))]);
    let paths: Vec<_> = issues(&compiled).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["access_log_format", "server_name"]);
    assert!(compiled.options.access_log.is_some());
    assert_eq!(compiled.listener("http").unwrap().trust.trusted_hops, 2);
    let next = Compiled::apply(Some(&compiled), &delta(2, Some(1), &[("options", json!({}))], &[])).unwrap();
    assert_eq!(next.listener("http").unwrap().trust.trusted_hops, 0);
}

fn section() -> impl Strategy<Value = (String, Option<Value>)> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let domain = || prop::sample::select(vec!["a", "b", "*", "*.a", "a.*"]);
    let path = || prop::sample::select(vec!["/", "/a", "/a/b", "/b", "("]);
    let kind = prop::sample::select(vec!["prefix", "exact", "regex"]);
    let routes = prop::collection::vec((path(), kind, name(), prop::sample::select(vec![30.0, 100.0])), 0..4);
    let hosts = (name(), prop::collection::vec(domain(), 0..3), routes).prop_map(|(name, domains, routes)| {
        let routes: Vec<_> = routes
            .into_iter()
            .enumerate()
            .map(|(n, (path, kind, cluster, weight))| {
                let mut route = route(&format!("{name}{n}"), path);
                route["match"]["path"]["kind"] = json!(kind);
                route["choices"] = json!([support::choice(cluster, weight)]);
                route
            })
            .collect();
        (format!("virtual_host/{name}"), host(name, &domains, &routes))
    });
    let clusters =
        (name(), 0..9).prop_map(|(name, n)| (format!("cluster/{name}"), cluster(name, &format!("10.0.0.{n}"))));
    let listeners =
        prop::collection::vec(name(), 0..4).prop_map(|hosts| ("listener/http".to_owned(), listener("http", &hosts)));
    let body = prop_oneof![3 => hosts, 2 => clusters, 2 => listeners];
    (body, prop::bool::weighted(0.2)).prop_map(|((key, body), remove)| (key, (!remove).then_some(body)))
}

fn encode<'s>(
    version: u64,
    base: Option<u64>,
    sections: impl Iterator<Item = (&'s String, &'s Option<Value>)>,
) -> Vec<u8> {
    let (mut upsert, mut remove) = (Vec::new(), Vec::new());
    for (key, body) in sections {
        match body {
            Some(body) => upsert.push(json!({"key": key, "slot": 0, "body": body})),
            None => remove.push(key.clone()),
        }
    }
    json!({"version": version, "base": base, "upsert": upsert, "remove": remove}).to_string().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn deltas_equal_a_full_compile(steps in prop::collection::vec(prop::collection::vec(section(), 1..4), 1..12)) {
        let mut all: BTreeMap<String, Option<Value>> = BTreeMap::new();
        let mut current = full(&[]);
        for (version, step) in (2..).zip(&steps) {
            let step: BTreeMap<_, _> = step.iter().cloned().collect();
            all.extend(step.clone());
            let bytes = encode(version, Some(current.version), step.iter());
            current = Compiled::apply(Some(&current), &bytes).unwrap();
            let fresh = Compiled::apply(None, &encode(version, None, all.iter().filter(|(_, body)| body.is_some()))).unwrap();
            prop_assert_eq!(&current.issues, &fresh.issues);
            for host in ["a", "b", "x.a", "a.x", "c"] {
                for path in ["/", "/a", "/a/b/c", "/b"] {
                    for roll in [0.0, 50.0] {
                        prop_assert_eq!(
                            decide(&current, host, path, true, roll),
                            decide(&fresh, host, path, true, roll)
                        );
                    }
                }
            }
        }
    }
}
