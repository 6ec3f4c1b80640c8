//! Compiled TCP routes: who takes a connection, which member, and what is left out.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sluice_snapshot::{Compiled, ListenerProtocol, ProxyVersion, TcpRoutes};
use support::{delta, full, issues, listener, origin};

fn choice(cluster: &str, weight: f64) -> Value {
    json!({"weight": weight, "cluster": cluster, "origin": origin()})
}

fn route(name: &str, server_names: &[&str]) -> Value {
    json!({"name": name, "origin": origin(), "server_names": server_names, "choices": [choice(name, 100.0)]})
}

fn tcp(routes: &[Value]) -> Value {
    let mut body = listener("tcp", &[]);
    body["protocol"] = json!("tcp");
    body["tcp_routes"] = json!(routes);
    body
}

fn routes(compiled: &Compiled) -> &TcpRoutes {
    &compiled.listener("tcp").unwrap().tcp
}

fn named<'c>(compiled: &'c Compiled, name: &str) -> Option<&'c str> {
    routes(compiled).named(name).map(|route| route.name.as_ref())
}

fn paths(compiled: &Compiled) -> Vec<String> {
    issues(compiled).into_iter().map(|(_, path)| path).collect()
}

#[test]
fn a_listener_without_routes_has_none() {
    let compiled = full(&[("listener", listener("tcp", &[]))]);
    assert!(routes(&compiled).is_empty() && routes(&compiled).other().is_none() && named(&compiled, "a").is_none());
    assert_eq!(compiled.listener("tcp").unwrap().protocol, ListenerProtocol::Http);
}

#[test]
fn server_names() {
    let compiled = full(&[("listener", tcp(&[route("any", &[]), route("a", &["a.x"]), route("wild", &["*.x"])]))]);
    assert_eq!(compiled.issues, []);
    assert_eq!(compiled.listener("tcp").unwrap().protocol, ListenerProtocol::Tcp);
    assert_eq!(named(&compiled, "A.X"), Some("a"));
    assert_eq!(named(&compiled, "b.x"), Some("wild"));
    assert_eq!(named(&compiled, "x"), None);
    assert_eq!(routes(&compiled).other().map(|route| route.name.as_ref()), Some("any"));
    assert_eq!(routes(&compiled).iter().count(), 3);
}

#[test]
fn shares_and_silence() {
    let mut shared = route("shared", &[]);
    shared["choices"] = json!([choice("one", 10.0), choice("none", 0.0), choice("two", 30.0)]);
    shared["idle_timeout_ms"] = json!(0);
    let mut timed = route("timed", &["a"]);
    timed["idle_timeout_ms"] = json!(5);
    let compiled = full(&[("listener", tcp(&[shared, timed, route("plain", &["b"])]))]);
    let shared = routes(&compiled).other().unwrap();
    let taken = |roll: f64| shared.choose(roll).unwrap().cluster.as_ref();
    assert_eq!((taken(0.0), taken(0.2499), taken(0.25), taken(0.999)), ("one", "one", "two", "two"));
    assert_eq!(taken(1.0), "two");
    assert_eq!(shared.idle_timeout, None);
    assert_eq!(routes(&compiled).named("a").unwrap().idle_timeout, Some(Duration::from_millis(5)));
    assert_eq!(routes(&compiled).named("b").unwrap().idle_timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn routes_that_cannot_work_keep_what_they_would_take() {
    let mut heavy = route("heavy", &["h"]);
    heavy["choices"] = json!([choice("x", 101.0)]);
    let mut empty = route("empty", &["e"]);
    empty["choices"] = json!([choice("x", 0.0)]);
    let mut ending = route("ending", &[]);
    ending["terminate"] = json!(true);
    let all = [heavy, empty, ending, route("bad", &["a*b"]), route("any", &[]), route("every", &[])];
    let compiled = full(&[("listener", tcp(&all))]);
    assert_eq!(
        paths(&compiled),
        [
            "tcp_routes[0].choices",
            "tcp_routes[1].choices",
            "tcp_routes[2].terminate",
            "tcp_routes[3].server_names",
            "tcp_routes[4].server_names",
            "tcp_routes[5].server_names",
        ]
    );
    assert!(routes(&compiled).other().unwrap().choices.is_empty(), "the first one keeps every other name");
    for name in ["h", "e"] {
        let route = routes(&compiled).named(name).unwrap();
        assert!(route.choices.is_empty() && route.choose(0.5).is_none(), "{name} leads nowhere");
    }
}

#[test]
fn a_route_that_leads_nowhere_goes_before_wider_ones() {
    let mut closed = route("closed", &["a.x"]);
    closed["choices"] = json!([]);
    closed["terminate"] = json!(true);
    let compiled = full(&[("listener", tcp(&[closed, route("wild", &["*.x"]), route("any", &[])]))]);
    assert_eq!(paths(&compiled), Vec::<String>::new(), "whoever left the choices out has reported why");
    let closed = routes(&compiled).named("a.x").unwrap();
    assert_eq!((&*closed.name, closed.choices.len(), closed.terminate), ("closed", 0, false));
    let mut rest = route("rest", &[]);
    rest["choices"] = json!([choice("x", 101.0)]);
    let compiled = full(&[("listener", tcp(&[rest]))]);
    assert!(!routes(&compiled).is_empty());
    assert!(routes(&compiled).other().unwrap().choose(0.5).is_none());
}

#[test]
fn tls_ends_for_the_routes_that_say_so() {
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::new(vec!["a.x".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let certificate = json!({"name": "c", "origin": origin(), "chain": chain, "private_key": key.serialize_pem()});
    let mut ending = route("ending", &["a.x"]);
    ending["terminate"] = json!(true);
    let mut body = tcp(&[ending, route("passing", &["b.x"])]);
    body["terminations"] = json!([
        {"server_names": ["a.x"], "certificate": "c", "origin": origin(), "alpn": ["postgresql"]},
        {"server_names": ["b.x"], "certificate": "missing", "origin": origin()},
    ]);
    let first = full(&[("certificate", certificate.clone()), ("listener", body.clone())]);
    assert_eq!(first.issues, [], "only terminations that are used are built");
    let tls = routes(&first).tls.as_ref().unwrap();
    assert_eq!(tls.config(Some("a.x")).unwrap().alpn_protocols, [b"postgresql".to_vec()]);
    assert!(tls.config(Some("b.x")).is_none());
    assert!(first.listener("tcp").unwrap().tls.is_none(), "the listener itself does not end TLS");
    let second = Compiled::apply(Some(&first), &delta(2, Some(1), &[("options", json!({}))], &[])).unwrap();
    assert!(Arc::ptr_eq(&first.listener("tcp").unwrap().tcp, &second.listener("tcp").unwrap().tcp));
    let third = Compiled::apply(Some(&second), &delta(3, Some(2), &[], &["certificate/c"])).unwrap();
    assert_eq!(paths(&third), ["terminations[0].certificate"]);
    assert!(routes(&third).tls.as_ref().unwrap().config(Some("a.x")).is_none());
}

#[test]
fn http3() {
    let mut udp = listener("udp", &[]);
    udp["protocol"] = json!("udp");
    udp["http3"] = json!(true);
    let mut beside = listener("beside", &[]);
    beside["http3"] = json!(true);
    let compiled = full(&[("listener", udp), ("listener", beside), ("listener", listener("plain", &[]))]);
    let advertises = |name: &str| compiled.listener(name).unwrap().advertises_http3();
    assert!(advertises("beside") && !advertises("udp") && !advertises("plain"));
    assert!(compiled.listener("udp").unwrap().http3);
}

#[test]
fn udp_routes() {
    let of = |more: &[(&str, Value)]| {
        let mut body = listener("udp", &[]);
        body["protocol"] = json!("udp");
        body["udp_route"] = json!({"name": "dns", "origin": origin(), "choices": [choice("a", 100.0)]});
        for (path, value) in more {
            *body.pointer_mut(path).unwrap() = value.clone();
        }
        full(&[("listener", body)])
    };
    let compiled = of(&[]);
    let route = compiled.listener("udp").unwrap().udp.clone().unwrap();
    assert_eq!(compiled.issues, []);
    assert_eq!((route.idle_timeout, route.max_sessions), (Duration::from_secs(60), 4096));
    assert!(route.leads_to("a") && !route.leads_to("b"));
    assert_eq!(route.choose(0.5).map(|choice| &*choice.cluster), Some("a"));
    let broken = [
        ("/protocol", json!("tcp"), "udp_route"),
        ("/udp_route/choices", json!([]), "udp_route.choices"),
        ("/udp_route/choices", json!([choice("a", 200.0)]), "udp_route.choices"),
    ];
    for (path, value, at) in broken {
        let compiled = of(&[(path, value)]);
        assert_eq!(paths(&compiled), [at]);
        assert!(compiled.listener("udp").unwrap().udp.is_none());
    }
}

#[test]
fn what_a_connection_begins_with() {
    let of = |more: Value| {
        let mut body = listener("tcp", &[]);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        full(&[("listener", body)]).listener("tcp").unwrap().clone()
    };
    assert!(of(json!({})).plain);
    assert!(!of(json!({"protocol": "tcp"})).plain);
    assert!(!of(json!({"proxy_protocol": true})).plain);
    assert!(!of(json!({"tls": true})).plain);
    let all = of(json!({"tcp_routes": [route("a", &[])]}));
    assert!(!all.plain && !all.tcp.has_names());
    assert!(of(json!({"tcp_routes": [route("a", &[]), route("b", &["b.x"])]})).tcp.has_names());
    let mut versions = route("a", &[]);
    versions["proxy_protocol"] = json!("v2");
    let told = of(json!({"tcp_routes": [versions]}));
    assert_eq!(told.tcp.other().unwrap().proxy_protocol, Some(ProxyVersion::V2));
}
