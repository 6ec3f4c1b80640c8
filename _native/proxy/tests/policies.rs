//! Limits, redirects, mirrors, and decisions of the host language.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use sluice_policy::stats::Global;
use sluice_proxy::{Upcall, UpcallAnswer};
use support::config::{all_to, plain, route, route_to};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET /a/b?q=1 HTTP/1.1\r\nHost: h.test\r\nX-User: me\r\n\r\n";

fn with(mut route: Value, field: &str, value: Value) -> Value {
    route[field] = value;
    route
}

#[test]
fn a_spent_limit_refuses_and_keeps_the_connection() {
    let upstream = Upstream::echo();
    let limit = json!([{"name": "few", "rate": 1, "period_ms": 3_600_000, "burst": 3,
        "keys": [{"source": "header", "value": "x-user"}]}]);
    let gate = Gate::new(&plain(&[with(route("/", "one"), "limits", limit)], &[("one", upstream.address)]));
    let (statuses, answer) = gate.run(|address| {
        let mut wire = connect(address);
        let mut ask = |request: &[u8]| {
            wire.send(request);
            wire.answer(false)
        };
        let statuses = [0; 4].map(|_| ask(GET).status());
        assert_eq!(ask(b"GET / HTTP/1.1\r\nHost: h\r\nX-User: other\r\n\r\n").status(), 200);
        assert_eq!(ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").status(), 200, "without the header there is no limit");
        (statuses, ask(GET))
    });
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!((answer.status(), answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 3000), (429, true));
    assert_eq!((gate.global(Global::RateLimited), upstream.seen().len()), (2, 5));
    gate.assert_settled();
}

#[test]
fn redirects() {
    let redirect = route_to("/a/", "redirect", json!({"status": 308, "host": "other.test", "prefix": "/new/"}));
    let gate = Gate::new(&plain(&[redirect], &[]));
    let answer = gate.run(|address| exchange(address, GET));
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location").unwrap(), "http://other.test/new/b?q=1");
    gate.assert_settled();
}

#[test]
fn cleartext_is_redirected_or_rejected() {
    let upstream = Upstream::echo();
    for (action, status) in [("redirect", 301), ("reject", 403)] {
        let mut sections = all_to(upstream.address);
        sections[1].1["insecure_action"] = json!(action);
        sections[0].1["trusted_hops"] = json!(1);
        let gate = Gate::new(&sections);
        let (plain, forwarded) = gate.run(|address| {
            let secure = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n";
            (exchange(address, GET), exchange(address, secure))
        });
        assert_eq!((plain.status(), forwarded.status()), (status, 200));
        let location = plain.header("location");
        assert_eq!(location, (action == "redirect").then(|| "https://h.test/a/b?q=1".to_owned()));
        gate.assert_settled();
    }
}

#[test]
fn a_mirror_gets_a_copy_and_its_answer_is_dropped() {
    let (real, mirror) = (Upstream::http(|_| ok("real")), Upstream::http(|_| ok("mirrored")));
    let shadows = json!([{"cluster": "two", "percent": 100.0}]);
    let sections =
        plain(&[with(route("/", "one"), "shadows", shadows)], &[("one", real.address), ("two", mirror.address)]);
    let gate = Gate::new(&sections);
    for _ in 0..3 {
        let post = b"POST /p?x HTTP/1.1\r\nHost: h.test:80\r\nContent-Length: 4\r\n\r\nbody";
        let before = mirror.seen().len();
        assert_eq!(gate.run(|address| exchange(address, post)).text(), "real");
        gate.until("the mirrored request", || mirror.seen().len() > before && gate.engine.idle_upstreams() == 2);
    }
    let seen = mirror.seen();
    assert_eq!((seen[0].line(), &seen[0].body[..]), ("POST /p?x HTTP/1.1", &b"body"[..]));
    assert_eq!(seen[0].header("host").unwrap(), "h.test-shadow:80");
    assert_eq!((mirror.connections(), real.seen().len()), (1, 3));
    gate.assert_settled();
}

#[test]
fn a_mirror_that_is_down_disturbs_nobody() {
    let real = Upstream::http(|_| ok("real"));
    let shadows = json!([{"cluster": "two", "percent": 100.0}]);
    let route = with(route("/", "one"), "shadows", shadows);
    let gate = Gate::new(&plain(&[route], &[("one", real.address), ("two", Upstream::refusing())]));
    assert_eq!(gate.run(|address| exchange(address, GET)).text(), "real");
    gate.assert_settled();
}

/// A gateway whose only route asks a filter.
fn filtered(upstream: &Upstream, filter: impl Fn(&Upcall) -> Option<UpcallAnswer> + 'static) -> Gate {
    let route = with(route("/", "one"), "filters", json!(["guard"]));
    let mut gate = Gate::new(&plain(&[route], &[("one", upstream.address)]));
    gate.filter = Box::new(filter);
    gate
}

#[test]
fn a_filter_lets_a_request_go_on_with_changes() {
    let upstream = Upstream::echo();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let gate = filtered(&upstream, move |upcall| {
        log.borrow_mut().push(upcall.clone());
        let add = vec![("x-role".to_owned(), "admin".to_owned()), ("x-own".to_owned(), "ours".to_owned())];
        Some(UpcallAnswer::Continue { add, remove: vec!["x-user".to_owned()] })
    });
    let request =
        b"POST /a/b?q=1 HTTP/1.1\r\nHost: h.test\r\nX-User: me\r\nX-Own: theirs\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(gate.run(|address| exchange(address, request)).text(), "body");
    let (asked, request) = (&seen.borrow()[0], &upstream.seen()[0]);
    assert_eq!((asked.filter.as_str(), asked.method.as_str(), asked.path.as_str()), ("guard", "POST", "/a/b"));
    assert_eq!(
        (asked.query.as_deref(), asked.host.as_str(), asked.client.to_string()),
        (Some("q=1"), "h.test", "127.0.0.1".to_owned())
    );
    assert!(asked.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-user") && value == "me"));
    assert_eq!((request.header("x-role").unwrap(), request.header("x-own").unwrap()), ("admin".into(), "ours".into()));
    assert_eq!(request.header("x-user"), None);
    assert_eq!(gate.global(Global::Upcalls), 1);
    gate.assert_settled();
}

#[test]
fn a_filter_answers() {
    let upstream = Upstream::echo();
    let gate = filtered(&upstream, |_| {
        let headers = vec![("www-authenticate".to_owned(), "Basic".to_owned())];
        Some(UpcallAnswer::Respond { status: 401, headers, body: b"who are you?".to_vec() })
    });
    let answers = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        let first = wire.answer(false);
        wire.send(GET);
        [first, wire.answer(false)]
    });
    for answer in answers {
        assert_eq!((answer.status(), answer.text()), (401, "who are you?".to_owned()));
        assert_eq!(answer.header("www-authenticate").unwrap(), "Basic");
    }
    assert!(upstream.seen().is_empty());
    gate.assert_settled();
}

#[test]
fn a_client_that_leaves_while_a_filter_thinks() {
    let upstream = Upstream::echo();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&asked);
    let gate = filtered(&upstream, move |upcall| {
        log.borrow_mut().push(upcall.id);
        None
    });
    let client = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(GET);
        wire
    });
    let wire = gate.join(&client);
    gate.until("the upcall", || !asked.borrow().is_empty());
    wire.reset();
    gate.assert_settled();
    let late = UpcallAnswer::Continue { add: Vec::new(), remove: Vec::new() };
    assert!(!gate.engine.answer(asked.borrow()[0], late), "nobody waits for this answer");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_filter_that_never_answers_costs_one_request() {
    let upstream = Upstream::echo();
    let gate = filtered(&upstream, |upcall| {
        let answer = UpcallAnswer::Continue { add: Vec::new(), remove: Vec::new() };
        (upcall.path != "/slow").then_some(answer)
    });
    let statuses = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
        let first = wire.answer(false).status();
        wire.send(GET);
        [first, wire.answer(false).status()]
    });
    assert_eq!(statuses, [504, 200]);
    gate.assert_settled();
}
