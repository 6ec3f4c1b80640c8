//! Back-pressure: whoever does not read must not fill the gateway.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use support::config::{cluster, plain, route};
use support::http2::{self, Talk, block_on, talk};
use support::latch::Latch;
use support::pair::{Ask, Body, PAIRS, Reply, Speaks, gate, service};
use support::upstream::Upstream;
use support::{Gate, connect};

/// Far more than all buffers of the two kernels on the way.
const TOTAL: usize = 48 * 1024 * 1024;
/// What the gateway may hold of one body.
const LIMIT: usize = 2 * 64 * 1024;
/// What a peer that speaks HTTP/2 lets come before it reads.
const WINDOW: usize = 65_535;

/// Bytes that a sender got rid of.
type Sent = Arc<AtomicUsize>;

/// Bytes in the kernel on connections of this address, on their way or unread.
fn in_kernel(address: SocketAddr) -> usize {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = "0A";
    rows.filter(|row| row[3] != listening && (row[1].ends_with(&port) || row[2].ends_with(&port)))
        .flat_map(|row| row[4].split(':').map(|hex| usize::from_str_radix(hex, 16).unwrap()).collect::<Vec<_>>())
        .sum()
}

/// A gateway with a second service at `/other`, whose requests tell that the engine has had time for everything.
fn beside(upstream: &Upstream, speaks: Speaks) -> Gate {
    let other = Upstream::echo();
    let mut sections = plain(&[route("/other", "two"), route("/", "one")], &[("one", upstream.address)]);
    if speaks == Speaks::Http2 {
        sections[2].1["protocol"] = "http2".into();
    }
    sections.push(("cluster", cluster("two", &[other.address])));
    Gate::new(&sections)
}

/// Turns the engine until the sender makes no progress any more. Returns what it got rid of.
fn stall(gate: &Gate, sent: &Sent) -> usize {
    let (mut last, mut quiet) = (0, 0);
    while quiet < 30 {
        gate.run(|address| {
            let mut wire = connect(address);
            for _ in 0..30 {
                wire.send(b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_eq!(wire.answer(false).status(), 200);
            }
        });
        let now = sent.load(Ordering::SeqCst);
        quiet = if now == last && now > 0 { quiet + 1 } else { 0 };
        last = now;
    }
    last
}

fn assert_bounded(gate: &Gate, upstream: &Upstream, sent: &Sent, window: usize, what: &str) {
    let total = stall(gate, sent);
    let elsewhere = in_kernel(gate.address) + in_kernel(upstream.address) + window;
    let held = total.saturating_sub(elsewhere);
    assert!(held <= LIMIT, "{what}: the gateway holds {held} of {total} bytes");
    assert!(total < TOTAL, "{what}: nothing stopped the sender");
}

fn count(sent: &Sent) -> impl Fn(usize) + use<> {
    let sent = Arc::clone(sent);
    move |count| {
        sent.fetch_add(count, Ordering::SeqCst);
    }
}

/// A service that sends `TOTAL` bytes as fast as it can.
fn source(speaks: Speaks, sent: &Sent) -> Upstream {
    let count = count(sent);
    let length = TOTAL.to_string();
    match speaks {
        Speaks::Http1 => Upstream::raw(move |mut wire, _| {
            wire.head();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            for piece in vec![7; TOTAL].chunks(16 * 1024) {
                wire.send(piece);
                count(piece.len());
            }
        }),
        Speaks::Http2 => http2::streams(async move |mut stream| {
            let mut body = stream.answer(200, &[("content-length", &length)], false);
            http2::write(&mut body, Bytes::from(vec![7; TOTAL]), &count).await.unwrap();
            http2::finish(&mut body, &[]).unwrap();
        }),
    }
}

#[test]
fn a_client_that_does_not_read() {
    for (client, upstream) in PAIRS {
        let sent = Sent::default();
        let service = source(upstream, &sent);
        let gate = beside(&service, upstream);
        let read = Latch::default();
        let latch = read.clone();
        let reader = gate.start(move |address| match client {
            Speaks::Http1 => {
                let mut wire = connect(address);
                wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                latch.wait();
                wire.answer(false).body.len()
            }
            Speaks::Http2 => block_on(async {
                let talk = Talk::connect(address).await;
                let (response, _) = talk.start(http2::get("/"), true).await;
                let mut body = response.await.unwrap().into_body();
                latch.opened().await;
                http2::read(&mut body).await.unwrap().0.len()
            }),
        });
        let window = if client == Speaks::Http2 { WINDOW } else { 0 };
        assert_bounded(&gate, &service, &sent, window, &format!("{client:?} {upstream:?}"));
        read.open();
        assert_eq!(gate.join(&reader), TOTAL);
        gate.assert_settled();
    }
}

/// A service that takes bodies when it is told to.
fn drain(speaks: Speaks, read: &Latch) -> Upstream {
    let read = read.clone();
    match speaks {
        Speaks::Http1 => Upstream::raw(move |mut wire, _| {
            let head = wire.head().unwrap();
            read.wait();
            let length = wire.body(&head).0.len();
            wire.send(format!("HTTP/1.1 200 OK\r\nX-Length: {length}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            wire.rest();
        }),
        Speaks::Http2 => http2::streams(async move |mut stream| {
            read.opened().await;
            let length = http2::read(&mut stream.body).await.unwrap().0.len();
            stream.answer(200, &[("x-length", &length.to_string())], true);
        }),
    }
}

#[test]
fn a_service_that_does_not_read() {
    for (client, upstream) in PAIRS {
        let (sent, read) = (Sent::default(), Latch::default());
        let service = drain(upstream, &read);
        let gate = beside(&service, upstream);
        let count = count(&sent);
        let writer = gate.start(move |address| match client {
            Speaks::Http1 => {
                let mut wire = connect(address);
                wire.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {TOTAL}\r\n\r\n").as_bytes());
                for piece in vec![7; TOTAL].chunks(16 * 1024) {
                    wire.stream.write_all(piece).unwrap();
                    count(piece.len());
                }
                wire.answer(false)
            }
            Speaks::Http2 => block_on(async {
                let talk = Talk::connect(address).await;
                let head = http2::post("/", &[("content-length", &TOTAL.to_string())]);
                let (response, mut body) = talk.start(head, false).await;
                http2::write(&mut body, Bytes::from(vec![7; TOTAL]), &count).await.unwrap();
                http2::finish(&mut body, &[]).unwrap();
                http2::receive(response).await.unwrap()
            }),
        });
        let window = if upstream == Speaks::Http2 { WINDOW } else { 0 };
        assert_bounded(&gate, &service, &sent, window, &format!("{client:?} {upstream:?}"));
        read.open();
        assert_eq!(gate.join(&writer).header("x-length").unwrap(), TOTAL.to_string());
        gate.assert_settled();
    }
}

#[test]
fn a_megabyte_both_ways_at_the_same_time() {
    for (client, upstream) in PAIRS {
        for open in [false, true] {
            let service = service(upstream, move |seen| {
                let body = Body { open, ..Body::of(&seen.body) };
                Reply::ok(body)
            });
            let gate = gate(&service, upstream);
            let data: Vec<u8> = (0..1_048_576_usize).map(|at| (at % 253) as u8).collect();
            let ask = Ask::new("PUT").with(Body { open, ..Body::of(&data) });
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let ask = ask.clone();
                    gate.start(move |address| ask.send(client, address).body)
                })
                .collect();
            for running in clients {
                assert!(gate.join(&running) == data, "{client:?} {upstream:?} {open}");
            }
            gate.assert_settled();
        }
    }
}

#[test]
fn a_service_answers_while_a_client_of_http2_is_still_sending() {
    // Both directions at once: each piece comes back before the next one goes.
    let service = http2::streams(async |mut stream| {
        let mut out = stream.answer(200, &[], false);
        while let Some(data) = stream.body.data().await {
            let data = data.unwrap();
            stream.body.flow_control().release_capacity(data.len()).unwrap();
            out.send_data(data, false).unwrap();
        }
        http2::finish(&mut out, &[]).unwrap();
    });
    let gate = gate(&service, Speaks::Http2);
    gate.run(|address| {
        talk(address, async |talk| {
            let (response, mut stream) = talk.start(http2::post("/", &[]), false).await;
            let mut body = response.await.unwrap().into_body();
            for number in 0..100_u8 {
                stream.send_data(Bytes::from(vec![number; 10]), false).unwrap();
                let mut got = Vec::new();
                while got.len() < 10 {
                    got.extend_from_slice(&body.data().await.unwrap().unwrap());
                }
                assert_eq!(got, [number; 10]);
            }
            http2::finish(&mut stream, &[]).unwrap();
            assert!(http2::read(&mut body).await.unwrap().0.is_empty());
        });
    });
    gate.assert_settled();
}
