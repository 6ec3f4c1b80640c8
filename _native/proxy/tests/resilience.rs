//! Balancing, retries, circuit breakers, outlier detection and active checks, seen from both sides.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};
use sluice_policy::stats::Field;
use support::config::{cluster, host, listener, route};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";

/// One route to one cluster of `addresses`, with `forward` and `settings` added to them.
fn gate(addresses: &[SocketAddr], forward: Value, settings: Value) -> Gate {
    let mut all = route("/", "one");
    let mut one = cluster("one", addresses);
    for (place, more) in [(&mut all["choices"][0]["forward"], forward), (&mut one, settings)] {
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    Gate::new(&[("listener", listener()), ("virtual_host", host(&[all])), ("cluster", one)])
}

fn failing(status: u16) -> Upstream {
    Upstream::http(move |_| format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nfail").into_bytes())
}

/// Statuses of `count` requests, each on a connection of its own.
fn statuses(gate: &Gate, request: &'static [u8], count: usize) -> Vec<u16> {
    gate.run(move |address| (0..count).map(|_| exchange(address, request).status()).collect())
}

#[test]
fn weights_are_kept() {
    let (light, heavy) = (Upstream::http(|_| ok("")), Upstream::http(|_| ok("")));
    let mut endpoints = cluster("one", &[light.address, heavy.address])["endpoints"].clone();
    endpoints[1]["weight"] = json!(3);
    let gate = gate(&[], json!({}), json!({"endpoints": endpoints}));
    assert_eq!(statuses(&gate, GET, 40), [200; 40]);
    assert_eq!((light.seen().len(), heavy.seen().len()), (10, 30));
    gate.assert_settled();
}

#[test]
fn a_cookie_keeps_a_client_at_its_endpoint() {
    let upstreams: Vec<_> = ["0", "1", "2"].map(|name| Upstream::http(move |_| ok(name))).into();
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    let hash = json!({"kind": "cookie", "name": "stick", "path": "/", "ttl_ms": 60_000});
    let gate = gate(&addresses, json!({"hash": hash}), json!({"balancer": {"policy": "maglev"}}));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let first = gate.run(|address| exchange(address, GET));
        let cookie = first.header("set-cookie").unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=60; HttpOnly"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let ask = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b; {pair}\r\n\r\n");
        let again = gate.run(move |address| exchange(address, ask.as_bytes()));
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("set-cookie"), None);
        seen.insert(first.text());
    }
    assert!(seen.len() > 1, "clients are spread");
    gate.assert_settled();
}

#[test]
fn a_status_is_asked_for_again_elsewhere() {
    let (bad, good) = (failing(503), Upstream::http(|_| ok("fine")));
    let retry = json!({"retry": {"retry_on": ["5xx"], "num_retries": 1}});
    let gate = gate(&[bad.address, good.address], retry, json!({}));
    // Also a request that is not idempotent: the answer says that it was refused, and the operator asked for it.
    assert_eq!(statuses(&gate, GET, 6), [200; 6]);
    assert_eq!(statuses(&gate, POST, 6), [200; 6]);
    assert_eq!(good.seen().len(), 12);
    assert!(good.seen().iter().skip(6).all(|seen| seen.body == b"ab"), "the body goes along");
    assert!(!bad.seen().is_empty());
    assert_eq!(gate.cluster(1, Field::Retries), bad.seen().len() as u64);
    gate.assert_settled();
}

#[test]
fn the_last_failure_is_the_answer() {
    let bad = failing(503);
    let retry = json!({"retry": {"retry_on": ["gateway-error"], "num_retries": 2}});
    let gate = gate(&[bad.address], retry, json!({}));
    let answer = gate.run(|address| exchange(address, GET));
    assert_eq!((answer.status(), answer.text().as_str()), (503, "fail"));
    assert_eq!(bad.seen().len(), 3);
    gate.assert_settled();
}

#[test]
fn nothing_is_sent_twice_that_may_have_been_done() {
    // It reads the whole request and says nothing.
    let closing = |count: Arc<AtomicUsize>| {
        Upstream::raw(move |mut wire, _| {
            let head = wire.head().unwrap();
            wire.body(&head);
            count.fetch_add(1, Ordering::SeqCst);
        })
    };
    let retry = json!({"retry": {"retry_on": ["5xx"], "num_retries": 3}});
    for (request, times) in [(POST, 1), (GET, 4)] {
        let count = Arc::new(AtomicUsize::new(0));
        let upstream = closing(Arc::clone(&count));
        let gate = gate(&[upstream.address], retry.clone(), json!({}));
        assert_eq!(statuses(&gate, request, 1), [503]);
        assert_eq!(count.load(Ordering::SeqCst), times);
        gate.assert_settled();
    }
}

#[test]
fn an_attempt_has_its_own_time() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = Upstream::http(move |_| {
        held.lock().unwrap().recv().unwrap_err();
        ok("late")
    });
    let quick = Upstream::http(|_| ok("in time"));
    let retry = json!({
        "timeout_ms": 20_000, "retry": {"retry_on": ["5xx"], "num_retries": 1, "per_try_timeout_ms": 50},
    });
    let gate = gate(&[slow.address, quick.address], retry, json!({}));
    let texts: Vec<String> = gate.run(|address| (0..2).map(|_| exchange(address, GET).text()).collect());
    assert_eq!(texts, ["in time", "in time"]);
    assert_eq!(quick.seen().len(), 2);
    drop(release);
    gate.assert_settled();
}

#[test]
fn an_attempt_that_runs_out_of_its_time_counts_as_a_timeout() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = Upstream::http(move |_| {
        held.lock().unwrap().recv().unwrap_err();
        ok("late")
    });
    let retry = json!({
        "timeout_ms": 20_000, "retry": {"retry_on": ["connect-failure"], "num_retries": 1, "per_try_timeout_ms": 50},
    });
    let gate = gate(&[slow.address], retry, json!({}));
    assert_eq!(statuses(&gate, GET, 1), [504]);
    assert_eq!((gate.cluster(1, Field::Timeouts), gate.cluster(1, Field::Retries)), (1, 0));
    drop(release);
    gate.assert_settled();
}

#[test]
fn requests_beyond_the_breaker_are_turned_away() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::http(move |_| {
        held.lock().unwrap().recv().unwrap();
        ok("")
    });
    let gate = gate(&[upstream.address], json!({}), json!({"breakers": [{"max_requests": 1}]}));
    let first = gate.start(|address| exchange(address, GET).status());
    gate.until("the first request", || upstream.seen().len() == 1);
    let refused = gate.run(|address| exchange(address, GET));
    assert_eq!((refused.status(), refused.text().as_str()), (503, "too many requests to the upstream\n"));
    let declined =
        [Field::OverflowRequests, Field::OverflowConnections, Field::OverflowPending, Field::OverflowRetries];
    assert_eq!(declined.map(|resource| gate.cluster(1, resource)), [1, 0, 0, 0]);
    release.send(()).unwrap();
    assert_eq!(gate.join(&first), 200);
    release.send(()).unwrap();
    assert_eq!(statuses(&gate, GET, 1), [200], "it closes again at once");
    gate.assert_settled();
}

#[test]
fn connections_beyond_the_breaker_are_waited_for() {
    let upstream =
        Upstream::http(|_| [&b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"[..], b"x"].concat());
    let breakers = json!({"breakers": [{"max_connections": 1, "max_pending_requests": 8}]});
    let gate = gate(&[upstream.address], json!({}), breakers);
    let clients: Vec<_> = (0..5).map(|_| gate.start(|address| exchange(address, GET).status())).collect();
    assert_eq!(clients.iter().map(|client| gate.join(client)).collect::<Vec<_>>(), [200; 5]);
    gate.assert_settled();
}

#[test]
fn an_endpoint_that_fails_in_a_row_is_left_out() {
    let (bad, good) = (failing(500), Upstream::http(|_| ok("")));
    let outlier = json!({"outlier": {"consecutive_5xx": 3, "max_ejection_percent": 50}});
    let gate = gate(&[bad.address, good.address], json!({}), outlier);
    let all = statuses(&gate, GET, 40);
    assert_eq!(all.iter().filter(|&&status| status == 500).count(), 3);
    assert_eq!((bad.seen().len(), good.seen().len()), (3, 37));
    gate.assert_settled();
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_nothing_until_it_passes() {
    let health = Arc::new(AtomicUsize::new(503));
    let upstream = |name: &'static str, health: Arc<AtomicUsize>| {
        Upstream::http(move |seen| {
            if seen.line().starts_with("GET /healthz ") {
                let status = health.load(Ordering::SeqCst);
                return format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").into_bytes();
            }
            ok(name)
        })
    };
    let sick = upstream("sick", Arc::clone(&health));
    let well = upstream("well", Arc::new(AtomicUsize::new(200)));
    let also = upstream("well", Arc::new(AtomicUsize::new(200)));
    let check = json!({"http": {"path": "/healthz"}, "interval_ms": 20, "timeout_ms": 2000});
    let gate = gate(&[sick.address, well.address, also.address], json!({}), json!({"health_checks": [check]}));
    let checked = |upstream: &Upstream| upstream.seen().iter().filter(|seen| seen.line().contains("/healthz")).count();
    gate.until("checks", || [&sick, &well, &also].iter().all(|upstream| checked(upstream) > 1));
    let names = || -> Vec<String> { gate.run(|address| (0..12).map(|_| exchange(address, GET).text()).collect()) };
    assert!(names().iter().all(|name| name == "well"));
    health.store(200, Ordering::SeqCst);
    gate.until("the recovery", || names().iter().any(|name| name == "sick"));
}

#[test]
fn endpoints_keep_their_connections_when_others_come() {
    let (first, second) = (Upstream::http(|_| ok("")), Upstream::http(|_| ok("")));
    let sections = |addresses: &[SocketAddr]| {
        vec![
            ("listener", listener()),
            ("virtual_host", host(&[route("/", "one")])),
            ("cluster", cluster("one", addresses)),
        ]
    };
    let gate = Gate::new(&sections(&[first.address]));
    assert_eq!(statuses(&gate, GET, 3), [200; 3]);
    gate.apply(2, &sections(&[first.address, second.address]));
    assert_eq!(statuses(&gate, GET, 6), [200; 6]);
    assert_eq!((first.seen().len(), second.seen().len()), (6, 3));
    assert_eq!((first.connections(), second.connections()), (1, 1));
    assert_eq!(gate.engine.idle_upstreams(), 2);
    gate.apply(3, &sections(&[second.address]));
    assert_eq!(gate.engine.idle_upstreams(), 1, "what is open to an endpoint that left is closed at once");
    assert_eq!(statuses(&gate, GET, 3), [200; 3]);
    assert_eq!((first.seen().len(), second.connections()), (6, 1));
    drop(connect(gate.address));
    gate.assert_settled();
}

#[test]
fn the_health_of_endpoints_is_told() {
    let (bad, good) = (failing(500), Upstream::http(|_| ok("")));
    let outlier = json!({"outlier": {"consecutive_5xx": 3, "max_ejection_percent": 50}});
    let gate = gate(&[bad.address, good.address], json!({}), outlier);
    let told =
        || [Field::Endpoints, Field::EndpointsHealthy, Field::EndpointsEjected].map(|field| gate.cluster(1, field));
    assert_eq!(told(), [0; 3], "nobody has asked yet");
    statuses(&gate, GET, 10);
    gate.until("an ejected endpoint", || told() == [2, 1, 1]);
    gate.apply(2, &[("listener", listener()), ("virtual_host", host(&[]))]);
    gate.until("no cluster", || told() == [0; 3]);
}
