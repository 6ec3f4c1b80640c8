//! Endpoints that refuse requests which they did not process: those may be sent again, others must not.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use h2::Reason;
use h2::server::Builder;
use sluice_policy::stats::Field;
use support::http2::{self, streams};
use support::latch::Latch;
use support::pair::{Ask, Body, Speaks, gate};
use support::upstream::Upstream;
use support::wire::Wire;

const BOTH: [Speaks; 2] = [Speaks::Http1, Speaks::Http2];
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// Reads frames until one of this kind came.
fn wait_for(wire: &mut Wire<TcpStream>, kind: u8) {
    loop {
        let head = wire.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        wire.take(length.try_into().unwrap());
        if head[3] == kind {
            return;
        }
    }
}

/// An endpoint that refuses the first `refusals` requests.
fn refusing(refusals: usize) -> (Upstream, Arc<Mutex<Vec<usize>>>) {
    let came: Arc<Mutex<Vec<usize>>> = Arc::default();
    let log = Arc::clone(&came);
    let upstream = streams(async move |mut stream| {
        let before = log.lock().unwrap().len();
        log.lock().unwrap().push(stream.connection);
        if before < refusals {
            stream.respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            stream.ok("served");
        }
    });
    (upstream, came)
}

#[test]
fn a_refused_request_is_sent_again() {
    for client in BOTH {
        for method in ["GET", "POST"] {
            let (upstream, came) = refusing(1);
            let gate = gate(&upstream, Speaks::Http2);
            let answer = gate.run(move |address| Ask::new(method).send(client, address));
            assert_eq!((answer.status(), answer.text()), (200, "served".to_owned()), "{client:?} {method}");
            assert_eq!(came.lock().unwrap().len(), 2);
            assert_eq!(gate.cluster(1, Field::Retries), 1);
            gate.assert_settled();
        }
    }
}

#[test]
fn a_request_is_sent_again_once() {
    let (upstream, came) = refusing(9);
    let gate = gate(&upstream, Speaks::Http2);
    let answer = gate.run(|address| support::exchange(address, GET));
    assert_eq!((answer.status(), came.lock().unwrap().len()), (503, 2));
    gate.assert_settled();
}

#[test]
fn a_request_is_not_sent_again_once_its_body_is_on_its_way() {
    for client in BOTH {
        let bodies: Arc<Mutex<Vec<usize>>> = Arc::default();
        let log = Arc::clone(&bodies);
        let upstream = streams(async move |mut stream| {
            if stream.connection == 0 && log.lock().unwrap().is_empty() {
                let first = stream.body.data().await.unwrap().unwrap();
                log.lock().unwrap().push(first.len());
                stream.respond.send_reset(Reason::REFUSED_STREAM);
                return;
            }
            let whole = http2::read(&mut stream.body).await;
            log.lock().unwrap().push(whole.map_or(0, |(body, _)| body.len()));
            stream.ok("served");
        });
        let gate = gate(&upstream, Speaks::Http2);
        let status = gate.run(move |address| match client {
            Speaks::Http1 => {
                let mut wire = support::connect(address);
                wire.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n");
                wire.send(&vec![1; 20_000]);
                wire.answer(false).status()
            }
            Speaks::Http2 => http2::talk(address, async |talk| {
                let (response, mut body) = talk.start(http2::post("/", &[("content-length", "40000")]), false).await;
                body.send_data(vec![1; 20_000].into(), false).unwrap();
                http2::receive(response).await.unwrap().status()
            }),
        });
        assert_eq!(status, 503, "{client:?}");
        assert_eq!(bodies.lock().unwrap().len(), 1, "{client:?}: half a request was sent again");
        gate.assert_settled();
    }
}

#[test]
fn an_endpoint_that_goes_away_before_it_reads() {
    for client in BOTH {
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let upstream = Upstream::raw(move |mut wire, number| {
            wire.take(PREFACE);
            wire.send(&frame(SETTINGS, 0, 0, &[]));
            wait_for(&mut wire, HEADERS);
            if number == 0 {
                // Nothing was processed: the last stream is 0.
                wire.send(&frame(GOAWAY, 0, 0, &[0; 8]));
            } else {
                count.fetch_add(1, Ordering::SeqCst);
                let (end_of_head_and_stream, indexed_status_200) = (0x4 | 0x1, [0x88]);
                wire.send(&frame(HEADERS, end_of_head_and_stream, 1, &indexed_status_200));
            }
            wire.rest();
        });
        let gate = gate(&upstream, Speaks::Http2);
        let answer = gate.run(move |address| Ask::new("POST").send(client, address));
        assert_eq!((answer.status(), answered.load(Ordering::SeqCst)), (200, 1), "{client:?}");
        assert_eq!(upstream.connections(), 2);
        gate.assert_settled();
    }
}

#[test]
fn an_endpoint_that_goes_away_while_it_works() {
    let (leave, left, release) = (Latch::default(), Latch::default(), Latch::default());
    let (leaving, gone, held) = (leave.clone(), left.clone(), release.clone());
    let asked = Latch::default();
    let seen = asked.clone();
    let upstream = http2::connections(Builder::new(), async move |mut connection, number| {
        let (seen, held) = (seen.clone(), held.clone());
        let serve = Arc::new(async move |mut stream: http2::Stream| {
            if stream.path() == "/held" {
                seen.open();
                held.opened().await;
            }
            stream.ok(&stream.connection.to_string());
        });
        if number == 0 {
            http2::drive_until(&mut connection, number, &serve, leaving.opened()).await;
            connection.graceful_shutdown();
            gone.open();
        }
        http2::drive(&mut connection, number, &serve).await;
    });
    let gate = gate(&upstream, Speaks::Http2);
    let busy = gate.start(|address| support::exchange(address, b"GET /held HTTP/1.1\r\nHost: h\r\n\r\n").text());
    gate.until("a request under way", || asked.is_open());
    leave.open();
    gate.until("the GOAWAY", || left.is_open());
    // Whoever comes before the gateway has read the GOAWAY is still served there.
    gate.until("a request on another connection", || {
        let answer = gate.run(|address| support::exchange(address, GET));
        assert_eq!(answer.status(), 200);
        answer.text() == "1"
    });
    release.open();
    assert_eq!(gate.join(&busy), "0", "the request that was under way is answered");
    gate.assert_settled();
}

#[test]
fn a_connection_that_died_while_it_was_idle() {
    // As with HTTP/1: a request that the endpoint cannot have answered is sent again if that is safe.
    for (ask, status) in [(Ask::new("GET"), 200), (Ask::new("POST").with(Body::of(b"x")), 503)] {
        let upstream = Upstream::raw(|mut wire, number| {
            wire.take(PREFACE);
            wire.send(&frame(SETTINGS, 0, 0, &[]));
            for stream in [1, 3] {
                wait_for(&mut wire, HEADERS);
                if number == 0 && stream == 3 {
                    return;
                }
                wire.send(&frame(HEADERS, 0x5, stream, &[0x88]));
            }
            wire.rest();
        });
        let gate = gate(&upstream, Speaks::Http2);
        assert_eq!(gate.run(|address| support::exchange(address, GET)).status(), 200);
        let answer = gate.run(move |address| ask.send(Speaks::Http1, address));
        assert_eq!(answer.status(), status);
        gate.assert_settled();
    }
}
