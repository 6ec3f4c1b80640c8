//! What comes before HTTP: the PROXY header, TLS.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::{Value, json};
use sluice_policy::stats::Global;
use support::config::{all_to, certificate, cluster, plain, route, termination};
use support::http2::{self, Talk};
use support::secure::{self, Authority};
use support::upstream::{Upstream, ok};
use support::{Gate, connect, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const PROXY: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n";

/// Two names with certificates of their own, everything to one upstream.
fn encrypted(authority: &Authority, upstream: &Upstream) -> Vec<(&'static str, Value)> {
    let mut sections = all_to(upstream.address);
    for name in ["a.test", "b.test"] {
        sections.push(("certificate", certificate(name, &authority.issue(name))));
    }
    sections[0].1["tls"] = json!(true);
    sections[0].1["terminations"] = json!([termination(&["a.test"], "a.test"), termination(&["b.test"], "b.test")]);
    sections
}

#[test]
fn the_proxy_header_says_who_the_client_is() {
    let upstream = Upstream::http(|seen| ok(&seen.header("x-forwarded-for").unwrap()));
    let mut sections = all_to(upstream.address);
    sections[0].1["proxy_protocol"] = json!(true);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        // At once, in pieces, and for a health check of the balancer itself.
        assert_eq!(exchange(address, &[PROXY, GET].concat()).text(), "192.0.2.7");
        let mut wire = connect(address);
        for byte in [PROXY, GET].concat() {
            wire.send(&[byte]);
        }
        assert_eq!(wire.answer(false).text(), "192.0.2.7");
        assert_eq!(exchange(address, &[b"PROXY UNKNOWN\r\n", GET].concat()).text(), "127.0.0.1");
        let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc0\0\x02\x08\x04\xd2\0\x50".to_vec();
        second.extend_from_slice(GET);
        assert_eq!(exchange(address, &second).text(), "192.0.2.9");
        // Whoever leaves it out could choose an address.
        for bad in [GET, b"PROXY TCP4 nonsense\r\n"] {
            let mut wire = connect(address);
            wire.send(bad);
            // It may have been cut off already.
            drop(wire.stream.shutdown(std::net::Shutdown::Write));
            let mut end = Vec::new();
            let read = std::io::Read::read_to_end(&mut wire.stream, &mut end);
            assert!(end.is_empty(), "{read:?} {end:?}");
        }
    });
    gate.assert_settled();
}

#[test]
fn each_name_has_its_certificate() {
    let authority = Authority::new();
    let upstream = Upstream::http(|seen| ok(&seen.header("x-forwarded-proto").unwrap()));
    let gate = Gate::new(&encrypted(&authority, &upstream));
    let config = authority.client();
    gate.run(move |address| {
        for name in ["a.test", "b.test"] {
            // The client checks the name against the certificate.
            let mut wire = secure::connect(&config, address, name, b"");
            for _ in 0..3 {
                wire.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").as_bytes());
                assert_eq!(wire.answer(false).text(), "https");
            }
            let other = if name == "a.test" { "b.test" } else { "a.test" };
            wire.send(format!("GET / HTTP/1.1\r\nHost: {other}\r\n\r\n").as_bytes());
            assert_eq!(wire.answer(false).status(), 421, "the rules of a host hold for its own connections only");
        }
    });
    assert_eq!(gate.global(Global::TlsFailures), 0);
    gate.assert_settled();
}

#[test]
fn handshakes_that_fail_are_counted() {
    let authority = Authority::new();
    let gate = Gate::new(&encrypted(&authority, &Upstream::echo()));
    let config = authority.client();
    gate.run(move |address| {
        let mut wire = connect(address);
        wire.send(GET);
        let mut end = Vec::new();
        drop(std::io::Read::read_to_end(&mut wire.stream, &mut end));
        assert!(!end.starts_with(b"HTTP"));
        let mut wire = secure::connect(&config, address, "unknown.test", b"");
        assert!(std::io::Write::write_all(&mut wire.stream, GET).is_err());
    });
    gate.until("two failures", || gate.global(Global::TlsFailures) == 2);
    gate.assert_settled();
}

#[test]
fn large_bodies_over_tls_on_both_sides() {
    let authority = Authority::new();
    let server = authority.server("up.test");
    let upstream = Upstream::raw(move |wire, _| {
        let mut wire = secure::accept(&server, wire);
        while let Some(head) = wire.head() {
            let (body, _) = wire.body(&head);
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
            wire.send(&body);
        }
    });
    let mut sections = encrypted(&authority, &upstream);
    sections.retain(|(family, _)| *family != "cluster");
    let mut secured = cluster("one", &[upstream.address]);
    secured["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
    sections.push(("cluster", secured));
    let gate = Gate::new(&sections);
    let config = authority.client();
    gate.run(move |address| {
        let mut wire = secure::connect(&config, address, "a.test", b"");
        for size in [0, 1, 16_384, 1_000_000] {
            let body: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n").as_bytes());
            wire.send(&body);
            assert!(wire.answer(false).body == body, "{size}");
        }
        // Everything in one record: the second request is in memory while the first is served.
        wire.send(&[GET, GET, GET].concat());
        assert_eq!([0; 3].map(|_| wire.answer(false).status()), [200; 3]);
    });
    assert_eq!(upstream.connections(), 1);
    gate.assert_settled();
}

/// A gateway in front of a TLS service whose answer lasts until it closes, with a closure alert or without.
fn until_closed(alerts: bool) -> Gate {
    let authority = Authority::new();
    let server = authority.server("up.test");
    let upstream = Upstream::raw(move |wire, _| {
        let mut wire = secure::accept(&server, wire);
        wire.head().unwrap();
        wire.send(b"HTTP/1.1 200 OK\r\n\r\npart");
        if alerts {
            wire.stream.conn.send_close_notify();
            wire.send(b"");
        }
    });
    let mut sections = plain(&[route("/", "one")], &[]);
    let mut secured = cluster("one", &[upstream.address]);
    secured["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
    sections.push(("cluster", secured));
    Gate::new(&sections)
}

#[test]
fn an_answer_cut_without_a_closure_alert_is_incomplete() {
    for alerts in [true, false] {
        let gate = until_closed(alerts);
        let rest = gate.run(|address| {
            let mut wire = connect(address);
            wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            assert!(wire.head().unwrap().starts_with("HTTP/1.1 200 "));
            wire.rest()
        });
        let whole: &[u8] = if alerts { b"4\r\npart\r\n0\r\n\r\n" } else { b"4\r\npart\r\n" };
        assert_eq!(rest, whole, "closure alert: {alerts}");
        let reset = gate.run(|address| {
            let mut wire = connect(address);
            wire.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n");
            wire.was_reset()
        });
        assert_eq!(reset, !alerts, "HTTP/1.0");
        let text = gate.run(|address| {
            http2::block_on(async { Talk::connect(address).await.get("/").await.map(|answer| answer.text()) })
        });
        assert_eq!(text.ok().as_deref(), alerts.then_some("part"), "HTTP/2");
        gate.assert_settled();
    }
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let authority = Authority::new();
    let server = authority.server("other.test");
    let upstream = Upstream::raw(move |wire, _| {
        let mut wire = secure::accept(&server, wire);
        assert!(std::io::Read::read(&mut wire.stream, &mut [0]).is_err());
    });
    let mut sections = plain(&[route("/", "one")], &[]);
    let mut secured = cluster("one", &[upstream.address]);
    secured["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
    sections.push(("cluster", secured));
    let gate = Gate::new(&sections);
    assert_eq!(gate.run(|address| exchange(address, GET)).status(), 503);
    gate.assert_settled();
}
