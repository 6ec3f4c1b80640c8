//! Connections that are told apart by the server name in their hello, beside HTTP or alone.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::Read;
use std::sync::mpsc;

use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use sluice_policy::stats::Global;
use support::config::{certificate, cluster, host, listener, route, tcp, tcp_route, termination};
use support::secure::{self, Authority};
use support::upstream::{Upstream, ok};
use support::{Gate, connect};

/// The first flight of a client for this name.
fn hello(authority: &Authority, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(authority.client(), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A service that ends TLS for `name` itself and says what it got.
fn passed_to(authority: &Authority, name: &str) -> Upstream {
    let config = authority.server(name);
    Upstream::raw(move |wire, _| {
        let mut wire = secure::accept(&config, wire);
        let got = wire.take(4);
        wire.send(&[b"passed ", &got[..]].concat());
        wire.stream.conn.send_close_notify();
        wire.send(b"");
    })
}

/// A port for HTTPS (`web.test`), a route that is passed through (`pass.test`) and one that is ended (`end.test`).
fn shared_port(
    authority: &Authority,
    web: &Upstream,
    passed: &Upstream,
    ended: &Upstream,
) -> Vec<(&'static str, Value)> {
    let mut port = listener();
    port["tls"] = json!(true);
    port["terminations"] = json!([termination(&["web.test"], "web"), termination(&["end.test"], "end")]);
    let mut ending = tcp_route(&["end.test"], "ended");
    ending["terminate"] = json!(true);
    port["tcp_routes"] = json!([tcp_route(&["pass.test"], "passed"), ending]);
    vec![
        ("listener", port),
        ("virtual_host", host(&[route("/", "web")])),
        ("cluster", cluster("web", &[web.address])),
        ("cluster", cluster("passed", &[passed.address])),
        ("cluster", cluster("ended", &[ended.address])),
        ("certificate", certificate("web", &authority.issue("web.test"))),
        ("certificate", certificate("end", &authority.issue("end.test"))),
    ]
}

#[test]
fn one_port_serves_https_and_both_kinds_of_routes() {
    let authority = Authority::new();
    let web = Upstream::http(|_| ok("web"));
    let (passed, ended) = (passed_to(&authority, "pass.test"), Upstream::mirror());
    let gate = Gate::new(&shared_port(&authority, &web, &passed, &ended));
    let config = authority.client();
    gate.run(move |address| {
        let mut wire = secure::connect(&config, address, "pass.test", b"");
        wire.send(b"ping");
        assert_eq!(wire.rest(), b"passed ping");
        let mut wire = secure::connect(&config, address, "end.test", b"");
        wire.send(b"clear");
        assert_eq!(wire.take(5), b"clear");
        wire.stream.conn.send_close_notify();
        wire.send(b"");
        assert!(wire.rest().is_empty());
        let mut wire = secure::connect(&config, address, "web.test", b"");
        wire.send(b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n");
        assert_eq!(wire.answer(false).text(), "web");
    });
    gate.assert_settled();
    assert_eq!((gate.global(Global::TcpConnections), gate.global(Global::TlsFailures)), (2, 0));
}

#[test]
fn the_hello_may_come_in_pieces_and_goes_on_as_it_came() {
    let authority = Authority::new();
    let bytes = hello(&authority, "pass.test");
    let (sender, received) = mpsc::channel();
    let length = bytes.len();
    let upstream = Upstream::raw(move |mut wire, _| sender.send(wire.take(length + 4)).unwrap());
    let gate = Gate::new(&tcp(&[tcp_route(&["pass.test"], "one")], &[("one", &[upstream.address])]));
    let sent = bytes.clone();
    gate.run(move |address| {
        let mut wire = connect(address);
        for byte in sent {
            wire.send(&[byte]);
        }
        wire.send(b"more");
        assert!(wire.rest().is_empty());
    });
    assert_eq!(received.recv().unwrap(), [&bytes[..], b"more"].concat());
    gate.assert_settled();
}

#[test]
fn what_no_name_takes_goes_to_the_rest() {
    let authority = Authority::new();
    let (named, other) = (Upstream::named("named"), Upstream::named("other"));
    let routes = [tcp_route(&["a.test", "*.wild.test"], "named"), tcp_route(&[], "other")];
    let gate = Gate::new(&tcp(&routes, &[("named", &[named.address]), ("other", &[other.address])]));
    let table: [(Vec<u8>, &[u8]); 6] = [
        (hello(&authority, "a.test"), b"named"),
        (hello(&authority, "A.TEST"), b"named"),
        (hello(&authority, "b.wild.test"), b"named"),
        (hello(&authority, "b.test"), b"other"),
        // An address is no server name.
        (hello(&authority, "127.0.0.1"), b"other"),
        (b"SSH-2.0-client\r\n".to_vec(), b"other"),
    ];
    for (bytes, expected) in table {
        let got = gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&bytes);
            wire.take(5)
        });
        assert_eq!(got, expected);
    }
    gate.assert_settled();
}

#[test]
fn names_alone_refuse_everything_else() {
    let authority = Authority::new();
    let upstream = Upstream::named("named");
    let gate = Gate::new(&tcp(&[tcp_route(&["a.test"], "named")], &[("named", &[upstream.address])]));
    let long = {
        let mut bytes = hello(&authority, "a.test");
        // The message says that it has 16 MiB.
        bytes[6..9].copy_from_slice(&[0xff; 3]);
        bytes
    };
    let table: [(Vec<u8>, Global); 4] = [
        (hello(&authority, "b.test"), Global::TcpNoRoute),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Global::TcpNoRoute),
        (long, Global::TcpBadHello),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00".to_vec(), Global::TcpBadHello),
    ];
    for (bytes, counter) in table {
        let before = gate.global(counter);
        assert!(gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&bytes);
            wire.was_reset()
        }));
        gate.assert_settled();
        assert_eq!(gate.global(counter), before + 1, "{counter:?}");
    }
    let half = hello(&authority, "a.test");
    assert!(gate.run(move |address| {
        let mut wire = connect(address);
        wire.send(&half[..20]);
        wire.finish();
        wire.was_reset()
    }));
    // A probe of a load balancer is nobody's fault.
    let before = gate.global(Global::TcpBadHello);
    assert!(gate.run(|address| {
        let mut wire = connect(address);
        wire.finish();
        wire.rest().is_empty()
    }));
    gate.assert_settled();
    assert_eq!((gate.global(Global::TcpBadHello), upstream.connections()), (before, 0));
}

#[test]
fn a_broken_certificate_falls_to_nobody_else() {
    let authority = Authority::new();
    let (web, other) = (Upstream::http(|_| ok("web")), Upstream::named("other"));
    let (passed, ended) = (Upstream::named("passed"), Upstream::named("ended"));
    let mut sections = shared_port(&authority, &web, &passed, &ended);
    sections[0].1["tcp_routes"].as_array_mut().unwrap().push(tcp_route(&[], "other"));
    sections.push(("cluster", cluster("other", &[other.address])));
    for index in [5, 6] {
        sections[index].1["chain"] = json!("no certificate");
    }
    let gate = Gate::with_issues(&sections);
    for name in ["web.test", "end.test"] {
        let bytes = hello(&authority, name);
        gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&bytes);
            wire.was_reset();
        });
        gate.assert_settled();
    }
    assert_eq!((other.connections(), ended.connections(), web.connections()), (0, 0, 0));
    assert_eq!(gate.global(Global::TlsFailures), 2);
}

#[test]
fn a_route_that_leads_nowhere_gives_its_name_to_nobody() {
    let authority = Authority::new();
    let (web, other) = (Upstream::http(|_| ok("web")), Upstream::named("other"));
    let (passed, ended) = (Upstream::named("passed"), Upstream::named("ended"));
    let mut sections = shared_port(&authority, &web, &passed, &ended);
    sections[0].1["terminations"] = json!([termination(&["*.test"], "web")]);
    sections.push(("cluster", cluster("other", &[other.address])));
    let mut broken = tcp_route(&["pass.test"], "passed");
    broken["choices"] = json!([]);
    let mut ending = tcp_route(&["end.test"], "ended");
    ending["terminate"] = json!(true);
    ending["choices"][0]["weight"] = json!(0.0);
    sections[0].1["tcp_routes"] = json!([broken, ending, tcp_route(&[], "other")]);
    let gate = Gate::with_issues(&sections);
    for (name, count) in [("pass.test", 1), ("end.test", 2)] {
        let bytes = hello(&authority, name);
        gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(&bytes);
            assert!(wire.was_reset(), "an answer for {name}");
        });
        assert_eq!(gate.global(Global::TcpNoRoute), count);
    }
    // The name beside them is served as before.
    let config = authority.client();
    gate.run(move |address| {
        let mut wire = secure::connect(&config, address, "web.test", b"");
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(wire.answer(false).text(), "web");
    });
    gate.assert_settled();
    assert_eq!((other.connections(), passed.connections(), ended.connections()), (0, 0, 0));
}

#[test]
fn a_broken_route_for_the_rest_leaves_it_to_nobody() {
    let web = Upstream::http(|_| ok("web"));
    let mut rest = tcp_route(&[], "web");
    rest["choices"] = json!([]);
    let mut port = listener();
    port["tcp_routes"] = json!([rest]);
    let gate = Gate::new(&[
        ("listener", port),
        ("virtual_host", host(&[route("/", "web")])),
        ("cluster", cluster("web", &[web.address])),
    ]);
    // Nothing has to be read for that; HTTP would wait for a request.
    gate.run(|address| assert!(connect(address).was_reset(), "an end instead of a reset"));
    gate.assert_settled();
    assert_eq!((gate.global(Global::TcpNoRoute), web.connections()), (1, 0));
}

#[test]
fn cleartext_http_beside_names() {
    let authority = Authority::new();
    let (web, passed) = (Upstream::http(|_| ok("web")), passed_to(&authority, "pass.test"));
    let mut port = listener();
    port["tcp_routes"] = json!([tcp_route(&["pass.test"], "passed")]);
    let gate = Gate::new(&[
        ("listener", port),
        ("virtual_host", host(&[route("/", "web")])),
        ("cluster", cluster("web", &[web.address])),
        ("cluster", cluster("passed", &[passed.address])),
    ]);
    let config = authority.client();
    gate.run(move |address| {
        let mut wire = connect(address);
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(wire.answer(false).text(), "web");
        let mut wire = secure::connect(&config, address, "pass.test", b"");
        wire.send(b"ping");
        assert_eq!(wire.rest(), b"passed ping");
    });
    gate.assert_settled();
}

#[test]
fn the_proxy_header_goes_before_the_hello() {
    let authority = Authority::new();
    let passed = passed_to(&authority, "pass.test");
    let mut sections = tcp(&[tcp_route(&["pass.test"], "one")], &[("one", &[passed.address])]);
    sections[0].1["proxy_protocol"] = json!(true);
    let gate = Gate::new(&sections);
    let config = authority.client();
    gate.run(move |address| {
        let before = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n";
        let mut wire = secure::connect(&config, address, "pass.test", before);
        wire.send(b"ping");
        assert_eq!(wire.rest(), b"passed ping");
    });
    gate.assert_settled();
}

#[test]
fn the_endpoint_is_told_the_client() {
    let authority = Authority::new();
    let server = authority.server("up.test");
    let (sender, received) = mpsc::channel();
    let line = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n";
    let upstream = Upstream::raw(move |mut wire, _| {
        let mut head = vec![0; line.len()];
        wire.stream.read_exact(&mut head).unwrap();
        let mut wire = secure::accept(&server, wire);
        sender.send((String::from_utf8(head).unwrap(), wire.take(5))).unwrap();
    });
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &[upstream.address])]);
    sections[0].1["proxy_protocol"] = json!(true);
    sections[0].1["tcp_routes"][0]["proxy_protocol"] = json!("v1");
    sections[1].1["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
    let gate = Gate::new(&sections);
    gate.run(move |address| {
        let mut wire = connect(address);
        wire.send(line.as_bytes());
        wire.send(b"hello");
        wire.was_reset();
    });
    assert_eq!(received.recv().unwrap(), (line.to_owned(), b"hello".to_vec()));
    gate.assert_settled();
}

#[test]
fn without_a_header_the_endpoint_is_told_the_peer() {
    let (sender, received) = mpsc::channel();
    let upstream = Upstream::raw(move |mut wire, _| sender.send(wire.take(28 + 5)).unwrap());
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &[upstream.address])]);
    sections[0].1["tcp_routes"][0]["proxy_protocol"] = json!("v2");
    let gate = Gate::new(&sections);
    let port = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"hello");
        let port = wire.stream.local_addr().unwrap().port();
        wire.rest();
        port
    });
    let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec();
    expected.extend(port.to_be_bytes());
    expected.extend(gate.address.port().to_be_bytes());
    expected.extend_from_slice(b"hello");
    assert_eq!(received.recv().unwrap(), expected);
    gate.assert_settled();
}

#[test]
fn tls_of_an_endpoint_that_is_cut_is_passed_on_as_a_reset() {
    let authority = Authority::new();
    for alerts in [true, false] {
        let server = authority.server("up.test");
        let cutting = Upstream::raw(move |wire, _| {
            let mut wire = secure::accept(&server, wire);
            wire.take(5);
            if alerts {
                wire.stream.conn.send_close_notify();
            }
            wire.send(b"");
        });
        let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &[cutting.address])]);
        sections[1].1["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
        let gate = Gate::new(&sections);
        let reset = gate.run(move |address| {
            let mut wire = connect(address);
            wire.send(b"hello");
            wire.was_reset()
        });
        assert_eq!(reset, !alerts, "upstream, closure alert: {alerts}");
        gate.assert_settled();

        let (sender, received) = mpsc::channel();
        let ended = Upstream::raw(move |mut wire, _| {
            let got = wire.take(5);
            wire.send(&got);
            sender.send(wire.was_reset()).unwrap();
        });
        let web = Upstream::http(|_| ok("web"));
        let gate = Gate::new(&shared_port(&authority, &web, &web, &ended));
        let config = authority.client();
        gate.run(move |address| {
            let mut wire = secure::connect(&config, address, "end.test", b"");
            wire.send(b"hello");
            assert_eq!(wire.take(5), b"hello");
            if alerts {
                wire.stream.conn.send_close_notify();
                wire.send(b"");
            }
        });
        gate.assert_settled();
        assert!(!received.recv().unwrap(), "a client's end is its end, closure alert: {alerts}");
    }
}

#[test]
fn an_upstream_that_is_not_whom_it_should_be_gets_nothing() {
    let authority = Authority::new();
    let server = authority.server("evil.test");
    let upstream = Upstream::raw(move |wire, _| {
        let mut wire = secure::accept(&server, wire);
        let got = wire.stream.read(&mut [0; 100]);
        assert!(!matches!(got, Ok(count) if count > 0), "{got:?}");
    });
    let mut sections = tcp(&[tcp_route(&[], "one")], &[("one", &[upstream.address])]);
    sections[1].1["tls"] = json!({"server_name": "up.test", "ca": authority.pem});
    let gate = Gate::new(&sections);
    assert!(gate.run(|address| {
        let mut wire = connect(address);
        wire.send(b"secret");
        wire.was_reset()
    }));
    gate.assert_settled();
    assert_eq!(gate.global(Global::TcpUnreachable), 1);
}
