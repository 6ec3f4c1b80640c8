//! Deltas and certificates for tests.

#![allow(dead_code, reason = "each test uses a part")]

use serde_json::{Value, json};
use sluice_route::{NoHeaders, Request};
use sluice_snapshot::{Compiled, Selection, select};

pub(crate) fn origin() -> Value {
    json!({"kind": "Mapping", "namespace": "default", "name": "x"})
}

pub(crate) fn choice(cluster: &str, weight: f64) -> Value {
    json!({"weight": weight, "origin": origin(), "forward": {"cluster": cluster}})
}

pub(crate) fn route(name: &str, prefix: &str) -> Value {
    json!({
        "name": name, "origin": origin(), "match": {"path": {"kind": "prefix", "value": prefix}},
        "choices": [choice("one", 100.0)],
    })
}

pub(crate) fn host(name: &str, domains: &[&str], routes: &[Value]) -> Value {
    json!({"name": name, "origin": origin(), "domains": domains, "routes": routes})
}

pub(crate) fn listener(name: &str, hosts: &[&str]) -> Value {
    json!({
        "name": name, "origin": origin(), "address": "0.0.0.0", "port": 8080, "tls": false, "security": "xfp",
        "virtual_hosts": hosts,
    })
}

pub(crate) fn cluster(name: &str, address: &str) -> Value {
    json!({"name": name, "origin": origin(), "endpoints": [{"address": address, "port": 80}]})
}

pub(crate) fn delta(version: u64, base: Option<u64>, upsert: &[(&str, Value)], remove: &[&str]) -> Vec<u8> {
    let upsert: Vec<_> = upsert
        .iter()
        .map(|(family, body)| {
            let name = body["name"].as_str().unwrap_or("main");
            json!({"key": format!("{family}/{name}"), "slot": 1, "body": body})
        })
        .collect();
    serde_json::to_vec(&json!({"version": version, "base": base, "upsert": upsert, "remove": remove})).unwrap()
}

pub(crate) fn full(upsert: &[(&str, Value)]) -> Compiled {
    Compiled::apply(None, &delta(1, None, upsert, &[])).unwrap()
}

pub(crate) fn request<'r>(host: &'r str, path: &'r str) -> Request<'r> {
    Request { method: b"GET", host: host.as_bytes(), path: path.as_bytes(), query: None, headers: &NoHeaders }
}

/// What `select` says, as text: the route's name, or why there is none.
pub(crate) fn decide(compiled: &Compiled, host: &str, path: &str, secure: bool, roll: f64) -> String {
    let Some(listener) = compiled.listener("http") else { return "no listener".to_owned() };
    match select(listener, &request(host, path), secure, &mut || roll) {
        Selection::NoHost => "no host".to_owned(),
        Selection::NoRoute => "no route".to_owned(),
        Selection::InsecureRedirect(host) => format!("redirect {}", host.name),
        Selection::InsecureReject => "reject".to_owned(),
        Selection::Matched { route, .. } if route.broken.is_some() => format!("broken {}", route.name),
        Selection::Matched { route, choice, .. } => match &choice.action {
            sluice_snapshot::Action::Forward(forward) => {
                let there = compiled.cluster(forward.cluster).map(|cluster| cluster.endpoints.to_vec());
                format!("{} to {} {there:?}", route.name, forward.cluster_name)
            }
            _ => route.name.to_string(),
        },
    }
}

pub(crate) fn issues(compiled: &Compiled) -> Vec<(String, String)> {
    compiled.issues.iter().map(|issue| (issue.section.clone(), issue.path.clone())).collect()
}
