//! Time to compile 10,000 routes on 100 virtual hosts, in full and by a delta of one virtual host:
//! `cargo run --release -p sluice-snapshot --example compile`.

use std::io::Write as _;

use serde_json::{Value, json};
use sluice_snapshot::Compiled;

fn origin(name: &str) -> Value {
    json!({"kind": "Mapping", "namespace": "default", "name": name, "path": "spec"})
}

fn host(n: usize) -> Value {
    let route = |r: usize| {
        let name = format!("mapping-{n}-{r}");
        json!({
            "name": name, "origin": origin(&name),
            "match": {
                "path": {"kind": "prefix", "value": format!("/team-{}/service-{r}/", r % 7), "ignore_case": false},
                "method": null, "authority": null, "headers": [], "query": [],
            },
            "choices": [{
                "weight": 100.0, "origin": origin(&name),
                "forward": {
                    "cluster": format!("cluster-{n}-{r}"), "path_rewrite": {"kind": "prefix", "value": "/", "pattern": ""},
                    "host_rewrite": null, "auto_host_rewrite": false, "timeout_ms": 3000, "idle_timeout_ms": null,
                },
                "redirect": null, "direct": null,
                "request_headers": {"add": [{"name": "X-Team", "value": "seven", "append": false}], "remove": []},
                "response_headers": {"add": [], "remove": ["x-powered-by"]},
            }],
            "shadows": [], "cors": null, "limits": [], "upgrades": ["websocket"], "bypass_auth": false, "filters": [],
            "insecure_exempt": false,
        })
    };
    json!({
        "name": format!("host-{n}"), "origin": origin("host"), "domains": [format!("host-{n}.example.com")],
        "routes": (0..100).map(route).collect::<Vec<_>>(), "insecure_action": "redirect", "redirect_port": null,
    })
}

fn section(family: &str, body: &Value) -> Value {
    json!({"key": format!("{family}/{}", body["name"].as_str().unwrap_or_default()), "slot": 1, "body": body})
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn best(mut work: impl FnMut() -> Compiled) -> (f64, Compiled) {
    let mut best = f64::INFINITY;
    let mut last = Compiled::empty();
    for _ in 0..5 {
        let start = std::time::Instant::now();
        last = work();
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    (best, last)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut upsert: Vec<_> = (0..100).map(|n| section("virtual_host", &host(n))).collect();
    for n in 0..10_000 {
        let body = json!({
            "name": format!("cluster-{}-{}", n / 100, n % 100), "origin": origin("cluster"),
            "endpoints": [{"address": "10.0.0.1", "port": 80, "weight": 1}, {"address": "10.0.0.2", "port": 80, "weight": 1}],
        });
        upsert.push(section("cluster", &body));
    }
    let hosts: Vec<_> = (0..100).map(|n| format!("host-{n}")).collect();
    upsert.push(section("listener", &json!({
        "name": "http", "origin": origin("listener"), "address": "0.0.0.0", "port": 8080, "tls": false, "security": "xfp",
        "virtual_hosts": hosts,
    })));
    let full = serde_json::to_vec(&json!({"version": 1, "base": null, "upsert": upsert, "remove": []}))?;
    let (all, base) = best(|| Compiled::apply(None, &full).unwrap_or_else(|_| Compiled::empty()));
    let change = json!({"version": 2, "base": 1, "upsert": [section("virtual_host", &host(7))], "remove": []});
    let change = serde_json::to_vec(&change)?;
    let (one, next) = best(|| Compiled::apply(Some(&base), &change).unwrap_or_else(|_| Compiled::empty()));
    writeln!(
        std::io::stdout(),
        "full: {} bytes in {all:.1} ms, {} issues; one virtual host of 100 routes: {one:.2} ms, version {}",
        full.len(),
        base.issues.len(),
        next.version,
    )?;
    Ok(())
}
