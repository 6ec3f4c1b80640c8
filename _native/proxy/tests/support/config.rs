//! Configurations.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_snapshot::Compiled;

fn origin() -> Value {
    json!({"kind": "Mapping", "namespace": "default", "name": "x"})
}

/// A route that forwards a prefix to a cluster.
pub(crate) fn route(prefix: &str, cluster: &str) -> Value {
    json!({
        "name": prefix, "origin": origin(), "match": {"path": {"kind": "prefix", "value": prefix}},
        "choices": [{"weight": 100.0, "origin": origin(), "forward": {"cluster": cluster}}],
    })
}

/// A route that does something else than forward.
pub(crate) fn route_to(prefix: &str, action: &str, value: Value) -> Value {
    let mut route = route(prefix, "none");
    let mut choice = json!({"weight": 100.0, "origin": origin()});
    choice[action] = value;
    route["choices"] = json!([choice]);
    route
}

pub(crate) fn listener() -> Value {
    json!({
        "name": "http", "origin": origin(), "address": "127.0.0.1", "port": 8080, "tls": false, "security": "xfp",
        "virtual_hosts": ["all"],
    })
}

pub(crate) fn host(routes: &[Value]) -> Value {
    json!({"name": "all", "origin": origin(), "domains": ["*"], "routes": routes})
}

pub(crate) fn cluster(name: &str, addresses: &[SocketAddr]) -> Value {
    let endpoints: Vec<_> =
        addresses.iter().map(|at| json!({"address": at.ip().to_string(), "port": at.port()})).collect();
    json!({"name": name, "origin": origin(), "endpoints": endpoints})
}

pub(crate) fn termination(names: &[&str], certificate: &str) -> Value {
    json!({"server_names": names, "certificate": certificate, "origin": origin()})
}

pub(crate) fn certificate(name: &str, (chain, key): &(String, String)) -> Value {
    json!({"name": name, "origin": origin(), "chain": chain, "private_key": key})
}

/// One listener, one host with `routes`, and `clusters`, which get the rows 1, 2, … of the shared memory.
pub(crate) fn plain(routes: &[Value], clusters: &[(&str, SocketAddr)]) -> Vec<(&'static str, Value)> {
    let mut sections = vec![("listener", listener()), ("virtual_host", host(routes))];
    sections.extend(clusters.iter().map(|(name, address)| ("cluster", cluster(name, &[*address]))));
    sections
}

/// Everything to one upstream.
pub(crate) fn all_to(address: SocketAddr) -> Vec<(&'static str, Value)> {
    plain(&[route("/", "one")], &[("one", address)])
}

/// A TCP route to one cluster, for these server names (none: everything).
pub(crate) fn tcp_route(server_names: &[&str], cluster: &str) -> Value {
    json!({
        "name": format!("to-{cluster}"), "origin": origin(), "server_names": server_names,
        "choices": [{"weight": 100.0, "cluster": cluster, "origin": origin()}],
    })
}

/// A TCP listener with `routes`, and `clusters`, which get the rows 1, 2, …
pub(crate) fn tcp(routes: &[Value], clusters: &[(&str, &[SocketAddr])]) -> Vec<(&'static str, Value)> {
    let mut listener = listener();
    listener["protocol"] = json!("tcp");
    listener["virtual_hosts"] = json!([]);
    listener["tcp_routes"] = json!(routes);
    let mut sections = vec![("listener", listener)];
    sections.extend(clusters.iter().map(|(name, addresses)| ("cluster", cluster(name, addresses))));
    sections
}

/// A UDP listener whose datagrams go to the cluster `one`, with its endpoints.
pub(crate) fn udp(addresses: &[SocketAddr]) -> Vec<(&'static str, Value)> {
    let mut listener = listener();
    listener["protocol"] = json!("udp");
    listener["virtual_hosts"] = json!([]);
    listener["udp_route"] = json!({
        "name": "datagrams", "origin": origin(),
        "choices": [{"weight": 100.0, "cluster": "one", "origin": origin()}],
    });
    vec![("listener", listener), ("cluster", cluster("one", addresses))]
}

/// Compiles a whole configuration, which must be without findings.
pub(crate) fn compiled(version: u64, sections: &[(&str, Value)]) -> Arc<Compiled> {
    let compiled = compiled_with_issues(version, sections);
    assert_eq!(compiled.issues, []);
    compiled
}

/// Compiles a whole configuration, whatever there is to say about it.
pub(crate) fn compiled_with_issues(version: u64, sections: &[(&str, Value)]) -> Arc<Compiled> {
    let mut clusters = 0;
    let upsert: Vec<_> = sections
        .iter()
        .map(|(family, body)| {
            clusters += usize::from(*family == "cluster");
            let slot = if *family == "cluster" { clusters } else { super::LISTENER_ROW };
            json!({"key": format!("{family}/{}", body["name"].as_str().unwrap_or("main")), "slot": slot, "body": body})
        })
        .collect();
    let delta = json!({"version": version, "base": null, "upsert": upsert, "remove": []});
    Arc::new(Compiled::apply(None, &serde_json::to_vec(&delta).unwrap()).unwrap())
}
