//! Connections that become tunnels.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use serde_json::json;
use support::config::all_to;
use support::upstream::{Upstream, ok};
use support::{Gate, connect};

/// RFC 6455 section 1.3: key and accept of the example.
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A gateway that allows WebSocket, in front of `upstream`.
fn gate(upstream: &Upstream) -> Gate {
    let mut sections = all_to(upstream.address);
    sections[1].1["routes"][0]["upgrades"] = json!(["websocket"]);
    Gate::new(&sections)
}

#[test]
fn a_tunnel_carries_bytes_both_ways_to_both_ends() {
    let upstream = Upstream::raw(|mut wire, _| {
        let head = wire.head().unwrap();
        assert!(head.contains("upgrade: websocket") && head.contains("Sec-WebSocket-Key"), "{head}");
        wire.send((switching(ACCEPT) + "early").as_bytes());
        let got = wire.take(100_004);
        wire.send(&got);
        assert!(wire.rest().is_empty());
        // The client has ended its direction; ours still works.
        wire.send(b"goodbye");
    });
    let gate = gate(&upstream);
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send((ASK.to_owned() + "ping").as_bytes());
        let head = wire.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
        assert!(head.contains("connection: Upgrade") && head.to_ascii_lowercase().contains("upgrade: websocket"));
        assert_eq!(wire.take(5), b"early");
        let long = vec![7; 100_000];
        wire.send(&long);
        assert_eq!(wire.take(100_004), [&b"ping"[..], &long].concat());
        wire.finish();
        assert_eq!(wire.rest(), b"goodbye");
    });
    gate.assert_settled();
    assert_eq!(gate.engine.idle_upstreams(), 0);
}

#[test]
fn a_switch_must_answer_what_was_asked() {
    let other = switching(ACCEPT).replace("Upgrade: websocket", "Upgrade: other");
    let without = switching(ACCEPT).replace("Sec-WebSocket-Accept", "X-Accept");
    for answer in [switching("c3VyZWx5IHdyb25nIGFjY2VwdA=="), other, without] {
        let upstream = Upstream::raw(move |mut wire, _| {
            wire.head();
            wire.send((answer.clone() + "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled").as_bytes());
            assert!(wire.rest().is_empty(), "bytes of the client went through");
        });
        let gate = gate(&upstream);
        let statuses = gate.run(|address| {
            let mut wire = connect(address);
            wire.send(ASK.as_bytes());
            let first = wire.answer(false).status();
            wire.send(ASK.as_bytes());
            [first, wire.answer(false).status()]
        });
        assert_eq!(statuses, [502, 502], "and the connection is still HTTP");
        assert_eq!(gate.engine.idle_upstreams(), 0);
        gate.assert_settled();
    }
}

#[test]
fn an_upgrade_that_the_route_does_not_allow_is_not_passed_on() {
    let upstream = Upstream::http(|seen| ok(&seen.header("upgrade").unwrap_or_default()));
    let gate = Gate::new(&all_to(upstream.address));
    let text = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(ASK.as_bytes());
        wire.answer(false).text()
    });
    assert_eq!(text, "");
    assert_eq!(upstream.seen()[0].header("connection"), None);
}

#[test]
fn an_upgrade_that_the_upstream_declines_stays_http() {
    let upstream = Upstream::http(|seen| ok(seen.line()));
    let gate = gate(&upstream);
    let lines = gate.run(|address| {
        let mut wire = connect(address);
        wire.send(ASK.as_bytes());
        let first = wire.answer(false).text();
        wire.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
        [first, wire.answer(false).text()]
    });
    assert_eq!(lines, ["GET /chat HTTP/1.1", "GET /plain HTTP/1.1"]);
    gate.assert_settled();
}

#[test]
fn silence_ends_a_tunnel() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head();
        wire.send(switching(ACCEPT).as_bytes());
        wire.rest();
    });
    let mut sections = all_to(upstream.address);
    let route = &mut sections[1].1["routes"][0];
    route["upgrades"] = json!(["websocket"]);
    route["choices"][0]["forward"]["idle_timeout_ms"] = json!(50);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(ASK.as_bytes());
        wire.head().unwrap();
        assert!(wire.rest().is_empty());
    });
    gate.assert_settled();
}

#[test]
fn a_client_that_resets_ends_its_tunnel() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head();
        wire.send(switching(ACCEPT).as_bytes());
        wire.rest();
    });
    let gate = gate(&upstream);
    gate.run(|address| {
        let mut wire = connect(address);
        wire.send(ASK.as_bytes());
        wire.head().unwrap();
        wire.reset();
    });
    gate.assert_settled();
}

/// A server's text frame.
fn frame(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

#[test]
fn a_drain_says_goodbye_between_two_frames() {
    let (cut, rest) = (frame("whole")[..3].to_vec(), frame("whole")[3..].to_vec());
    let (sender, drained) = std::sync::mpsc::channel::<()>();
    let drained = std::sync::Mutex::new(drained);
    let (ready, waiting) = std::sync::mpsc::channel::<()>();
    let upstream = Upstream::raw(move |mut wire, _| {
        wire.head();
        wire.send(switching(ACCEPT).as_bytes());
        wire.send(&cut);
        // The drain begins in the middle of a frame.
        assert_eq!(wire.take(5), b"ready");
        ready.send(()).unwrap();
        drained.lock().unwrap().recv().unwrap();
        wire.send(&rest);
        assert_eq!(wire.take(3), b"bye", "what the client says to it goes on");
        wire.send(&frame("too late"));
    });
    let gate = gate(&upstream);
    let client = gate.start(|address| {
        let mut wire = connect(address);
        wire.send(ASK.as_bytes());
        wire.head().unwrap();
        assert_eq!(wire.take(3), frame("whole")[..3]);
        wire.send(b"ready");
        let all = [&frame("whole")[3..], &[0x88, 2, 0x03, 0xe9]].concat();
        assert_eq!(wire.take(all.len()), all);
        wire.send(b"bye");
        wire.rest()
    });
    gate.until("the middle of a frame", || waiting.try_recv().is_ok());
    gate.engine.drain();
    sender.send(()).unwrap();
    assert_eq!(gate.join(&client), b"", "nothing follows a close frame");
    gate.assert_settled();
}

/// Its body would reach the upstream twice: as a body, and as the first bytes of the tunnel.
#[test]
fn a_request_with_a_body_asks_for_no_upgrade() {
    let upstream = Upstream::http(|seen| ok(&format!("{:?}", seen.header("upgrade"))));
    let gate = gate(&upstream);
    let answers = gate.run(|address| {
        let mut wire = connect(address);
        ["Content-Length: 4\r\n\r\nping", "Transfer-Encoding: chunked\r\n\r\n4\r\nping\r\n0\r\n\r\n"].map(|rest| {
            wire.send(ASK.replace("\r\n\r\n", &format!("\r\n{rest}")).as_bytes());
            let answer = wire.answer(false);
            (answer.status(), answer.text())
        })
    });
    assert_eq!(answers, [(200, "None".to_owned()), (200, "None".to_owned())]);
    gate.assert_settled();
}
