//! Compiled upstream policies: endpoints in use, balancing, limits, checks, retries, and what is wrong with them.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use sluice_policy::upstream::{CheckOutcome, Endpoint, OutlierConfig, Policy, RetryOn};
use sluice_snapshot::{Action, BreakerLimits, Compiled, Forward, HashSource, Priority, Probe, Protocol, SetCookie};
use support::{cluster, full, host, issues, listener, route};

/// A snapshot with one cluster, `one`, which has these fields besides.
fn with(fields: &Value) -> Compiled {
    let mut body = cluster("one", "10.0.0.1");
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    full(&[("cluster", body)])
}

fn paths(compiled: &Compiled) -> Vec<String> {
    issues(compiled).into_iter().map(|(_, path)| path).collect()
}

fn endpoint(last: u8, state: &str) -> Value {
    json!({"address": format!("10.0.0.{last}"), "port": 80, "zone": format!("z{last}"), "state": state})
}

#[test]
fn terminating_endpoints_are_used_when_no_other_is_left() {
    let mixed = with(&json!({"endpoints": [endpoint(1, "terminating"), endpoint(2, "ready")]}));
    let one = mixed.cluster_named("one").unwrap();
    assert_eq!(one.endpoints.as_ref(), [("10.0.0.2:80".parse().unwrap(), 1)]);
    assert_eq!((one.zones.iter().map(AsRef::as_ref).collect::<Vec<_>>(), one.draining), (vec!["z2"], false));
    let ending = with(&json!({"endpoints": [endpoint(1, "terminating")]}));
    let one = ending.cluster_named("one").unwrap();
    assert_eq!((one.endpoints.len(), one.draining), (1, true));
    let zone = Some(std::sync::Arc::from("z1"));
    let member = Endpoint { address: "10.0.0.1:80".parse().unwrap(), weight: 1, zone };
    assert_eq!(one.members().collect::<Vec<_>>(), [member]);
    assert!(!with(&json!({"endpoints": []})).cluster_named("one").unwrap().draining);
}

#[test]
fn pools_outlive_changes_that_do_not_concern_connections() {
    let generation = |fields: &Value| with(fields).cluster_named("one").unwrap().generation;
    let plain = generation(&json!({}));
    assert_eq!(plain, generation(&json!({"balancer": {"policy": "maglev"}, "breakers": [{}], "outlier": {}})));
    let zoned = json!({"endpoints": [{"address": "10.0.0.1", "port": 80, "zone": "a"}]});
    assert_eq!(plain, generation(&zoned));
    assert_eq!(plain, generation(&json!({"endpoints": [endpoint(1, "ready"), endpoint(2, "ready")]})));
    assert_ne!(plain, generation(&json!({"protocol": "http2"})));
    assert_ne!(plain, generation(&json!({"dns": {"host": "a.", "port": 1}})));
}

#[test]
fn defaults_and_settings_of_a_cluster() {
    let plain = with(&json!({}));
    let one = plain.cluster_named("one").unwrap();
    assert_eq!((one.protocol, &one.balancing, one.tcp_keepalive), (Protocol::Http1, &None, None));
    assert!(one.health_checks.is_empty() && one.outlier.is_none() && one.breakers.of(Priority::Default).is_none());
    let compiled = with(&json!({
        "protocol": "http2",
        "balancer": {"policy": "ring_hash", "slow_start_ms": 1500, "zone_aware": true},
        "breakers": [{"priority": "high", "max_requests": 7}, {}],
        "tcp_keepalive": {"idle_s": 60, "probes": 3},
        "outlier": {"consecutive_5xx": 3, "enforcing_success_rate": 0, "base_ejection_time_ms": 400_000},
        "dns": {"host": "a.", "port": 1, "respect_ttl": true, "logical": true},
    }));
    assert_eq!(compiled.issues, []);
    let one = compiled.cluster_named("one").unwrap();
    let balancing = one.balancing.as_ref().unwrap();
    assert_eq!((balancing.settings.policy, balancing.settings.panic_percent), (Policy::RingHash, 50));
    assert!(balancing.hashes() && balancing.zone_aware && balancing.settings.slow_start_ns == 1_500_000_000);
    assert_eq!(one.breakers.of(Priority::Default), Some(&BreakerLimits::default()));
    assert_eq!(one.breakers.of(Priority::High), Some(&BreakerLimits { requests: 7, ..BreakerLimits::default() }));
    let keepalive = one.tcp_keepalive.unwrap();
    assert_eq!((keepalive.idle, keepalive.interval, keepalive.probes), (Some(Duration::from_secs(60)), None, Some(3)));
    let outlier = one.outlier.as_ref().unwrap();
    let want = OutlierConfig {
        consecutive_5xx: 3,
        success_rate: None,
        base_ejection_ns: 400_000_000_000,
        ..OutlierConfig::default()
    };
    assert_eq!(outlier.as_ref(), &want);
    let plain = with(&json!({"outlier": {}}));
    assert_eq!(plain.cluster_named("one").unwrap().outlier.as_deref(), Some(&OutlierConfig::default()));
    let dns = one.dns.as_ref().unwrap();
    assert!(dns.respect_ttl && dns.logical);
}

#[test]
fn health_checks() {
    let compiled = with(&json!({"health_checks": [
        {"http": {"path": "/up?x", "expected": [{"low": 200, "high": 204}], "request_headers": {"remove": ["a"]}}},
        {"http": {"path": "/"}},
        {"grpc": {"service": "a.B", "authority": "b"}, "interval_ms": 1},
        {"http": {"path": "up"}},
        {"http": {"path": "/", "host": "a b"}},
        {"http": {"path": "/", "expected": [{"low": 300, "high": 200}]}},
        {},
        {"grpc": {"service": ""}, "healthy_threshold": 0},
        {"grpc": {"service": ""}, "timeout_ms": 0},
    ]}));
    let checks = &compiled.cluster_named("one").unwrap().health_checks;
    let [first, second, third] = checks.as_ref() else { panic!("{checks:?}") };
    assert_eq!((first.config.judge(204), first.config.judge(205)), (CheckOutcome::Passed, CheckOutcome::Refused));
    assert_eq!((second.config.judge(200), second.config.judge(201)), (CheckOutcome::Passed, CheckOutcome::Refused));
    assert_eq!((second.config.healthy_threshold, second.config.unhealthy_threshold), (1, 2));
    assert_eq!((second.config.interval_ns, second.config.timeout_ns), (5_000_000_000, 3_000_000_000));
    assert_eq!(third.config.interval_ns, 1_000_000);
    assert!(matches!(&third.probe, Probe::Grpc { service, authority: Some(_) } if service.as_ref() == "a.B"));
    assert_eq!(
        paths(&compiled),
        [
            "health_checks[3].http.path",
            "health_checks[4].http.host",
            "health_checks[5].http.expected",
            "health_checks[6]",
            "health_checks[7].healthy_threshold",
            "health_checks[8].interval_ms",
        ]
    );
}

#[test]
fn values_out_of_range_are_reported() {
    let compiled = with(&json!({
        "balancer": {"policy": "ewma", "panic_threshold_percent": 101},
        "breakers": [{"max_requests": 1}, {"max_requests": 2}],
        "tcp_keepalive": {"idle_s": 0, "interval_s": 40_000, "probes": 128},
        "outlier": {"interval_ms": 0, "max_ejection_percent": 200, "enforcing_consecutive_5xx": 50},
    }));
    let one = compiled.cluster_named("one").unwrap();
    assert_eq!(one.breakers.of(Priority::Default).unwrap().requests, 1);
    assert_eq!(one.balancing.as_ref().unwrap().settings.panic_percent, 100);
    assert_eq!(one.outlier.as_ref().unwrap().max_ejection_percent, 100);
    assert_eq!(
        paths(&compiled),
        [
            "balancer.panic_threshold_percent",
            "breakers[1].priority",
            "outlier.enforcing_consecutive_5xx",
            "outlier.interval_ms",
            "outlier.max_ejection_percent",
            "tcp_keepalive.idle_s",
            "tcp_keepalive.interval_s",
            "tcp_keepalive.probes",
        ]
    );
    let unknown = with(&json!({"balancer": {"policy": "dice"}}));
    assert!(unknown.cluster_named("one").is_none(), "an unknown policy spoils the section");
}

/// The forward action of a route with these fields.
fn forward(fields: &Value) -> (Compiled, Vec<String>) {
    let mut body = route("r", "/");
    let fields = fields.as_object().unwrap().clone();
    body["choices"][0]["forward"].as_object_mut().unwrap().extend(fields);
    let compiled = full(&[("listener", listener("http", &["h"])), ("virtual_host", host("h", &["*"], &[body]))]);
    let found = paths(&compiled);
    (compiled, found)
}

fn the(compiled: &Compiled) -> &Forward {
    let route = &compiled.virtual_host("h").unwrap().routes[0];
    assert!(route.broken.is_none());
    match &route.choices[0].action {
        Action::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hashes() {
    let (compiled, _) = forward(&json!({}));
    assert!(the(&compiled).hash.is_none() && the(&compiled).retry.is_none());
    assert_eq!(the(&compiled).priority, Priority::Default);
    for (source, want) in [
        (json!({"kind": "header", "name": "X-User"}), HashSource::Header(Box::from(*b"x-user"))),
        (json!({"kind": "source_address"}), HashSource::SourceAddress),
        (json!({"kind": "cookie", "name": "Sid"}), HashSource::Cookie { name: Box::from(*b"Sid"), set: None }),
        (
            json!({"kind": "cookie", "name": "s", "path": "/a", "ttl_ms": 1500}),
            HashSource::Cookie {
                name: Box::from(*b"s"),
                set: Some(SetCookie { path: Box::from(*b"/a"), max_age_s: Some(2) }),
            },
        ),
        (
            json!({"kind": "cookie", "name": "s", "ttl_ms": 0}),
            HashSource::Cookie {
                name: Box::from(*b"s"),
                set: Some(SetCookie { path: Box::default(), max_age_s: None }),
            },
        ),
    ] {
        let (compiled, found) = forward(&json!({"hash": source, "priority": "high"}));
        assert_eq!((the(&compiled).hash.as_deref(), found), (Some(&want), Vec::new()));
        assert_eq!(the(&compiled).priority, Priority::High);
    }
    for source in [
        json!({"kind": "header", "name": ""}),
        json!({"kind": "cookie", "name": "a b"}),
        json!({"kind": "cookie", "name": "a", "path": "/;secure"}),
    ] {
        let (compiled, found) = forward(&json!({"hash": source}));
        assert!(the(&compiled).hash.is_none(), "the route works, at random");
        assert_eq!(found, ["routes[0].choices[0].forward.hash"]);
    }
}

#[test]
fn retries() {
    let (compiled, found) = forward(&json!({"retry": {"retry_on": ["gateway-error", "connect-failure", "monday"]}}));
    let retry = the(&compiled).retry.as_ref().unwrap();
    assert_eq!((retry.policy.num_retries, retry.per_try_timeout), (1, None));
    assert_eq!(retry.policy.on, RetryOn { gateway_error: true, connect_failure: true, ..RetryOn::default() });
    assert_eq!(found, ["routes[0].choices[0].forward.retry.retry_on"]);
    let policy = json!({"retry_on": ["5xx"], "num_retries": 0, "per_try_timeout_ms": 250});
    let (compiled, _) = forward(&json!({"retry": policy}));
    let retry = the(&compiled).retry.as_ref().unwrap();
    assert_eq!((retry.policy.num_retries, retry.per_try_timeout), (0, Some(Duration::from_millis(250))));
    assert!(retry.policy.on.server_error);
}
