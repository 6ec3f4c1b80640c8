//! Either side breaks off, in all combinations of protocols.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use bytes::Bytes;
use h2::Reason;
use support::config::all_to;
use support::http2::{self, talk};
use support::latch::Latch;
use support::pair::{Ask, Body, PAIRS, Speaks, gate};
use support::upstream::Upstream;
use support::{Gate, connect};

/// A service that never answers, and tells when it was asked and when it was let go.
fn waiting(speaks: Speaks) -> (Upstream, Latch, Latch) {
    let (asked, left) = (Latch::default(), Latch::default());
    let (told, gone) = (asked.clone(), left.clone());
    let upstream = match speaks {
        Speaks::Http1 => Upstream::raw(move |mut wire, _| {
            wire.head().unwrap();
            told.open();
            wire.rest();
            gone.open();
        }),
        Speaks::Http2 => http2::streams(async move |mut stream| {
            told.open();
            assert_eq!(stream.reset().await.unwrap(), Reason::CANCEL);
            gone.open();
        }),
    };
    (upstream, asked, left)
}

#[test]
fn a_client_that_cancels() {
    for (client, upstream) in PAIRS {
        for has_body in [false, true] {
            let (service, asked, left) = waiting(upstream);
            let gate = gate(&service, upstream);
            let cancelling = gate.start(move |address| match client {
                Speaks::Http1 => {
                    let mut wire = connect(address);
                    let length = if has_body { "Content-Length: 9\r\n\r\nhalf" } else { "\r\n" };
                    wire.send(format!("PUT / HTTP/1.1\r\nHost: h\r\n{length}").as_bytes());
                    asked.wait();
                    wire.reset();
                }
                Speaks::Http2 => talk(address, async |talk| {
                    let (_response, mut stream) = talk.start(http2::post("/", &[]), !has_body).await;
                    if has_body {
                        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
                    }
                    asked.opened().await;
                    stream.send_reset(Reason::CANCEL);
                    // The connection goes on: the gateway reads this behind the reset.
                    let head = http::Request::get("http://h/%00").body(()).unwrap();
                    assert_eq!(http2::receive(talk.start(head, true).await.0).await.unwrap().status(), 400);
                }),
            });
            gate.join(&cancelling);
            gate.until("the upstream to be let go", || left.is_open());
            gate.assert_settled();
        }
    }
}

#[test]
fn a_client_whose_connection_breaks() {
    for upstream in [Speaks::Http1, Speaks::Http2] {
        let (service, asked, left) = waiting(upstream);
        let gate = gate(&service, upstream);
        gate.run(move |address| {
            talk(address, async |talk| {
                let mut started = Vec::new();
                for _ in 0..3 {
                    started.push(talk.start(http2::get("/"), true).await);
                }
                asked.opened().await;
            });
        });
        gate.until("the upstream to be let go", || left.is_open());
        gate.assert_settled();
    }
}

/// A service that breaks off before or after its head.
fn breaking(speaks: Speaks, begun: bool) -> Upstream {
    match speaks {
        Speaks::Http1 => Upstream::raw(move |mut wire, _| {
            wire.head().unwrap();
            if begun {
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            }
            wire.reset();
        }),
        Speaks::Http2 => http2::streams(async move |mut stream| {
            if begun {
                let mut body = stream.answer(200, &[("content-length", "100")], false);
                body.send_data(Bytes::from_static(b"half"), false).unwrap();
            }
            stream.respond.send_reset(Reason::INTERNAL_ERROR);
        }),
    }
}

#[test]
fn a_service_that_breaks_off_before_its_answer() {
    for (client, upstream) in PAIRS {
        let service = breaking(upstream, false);
        let gate = gate(&service, upstream);
        for ask in [Ask::new("GET"), Ask::new("POST").with(Body::of(b"x"))] {
            let answer = gate.run(move |address| ask.send(client, address));
            assert_eq!(answer.status(), 503, "{client:?} {upstream:?}");
        }
        gate.assert_settled();
    }
}

#[test]
fn a_service_that_breaks_off_in_its_answer() {
    for (client, upstream) in PAIRS {
        let service = breaking(upstream, true);
        let gate = gate(&service, upstream);
        let cut = gate.run(move |address| match client {
            Speaks::Http1 => {
                let mut wire = connect(address);
                wire.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                // The reset may have overtaken the head.
                wire.head().is_none_or(|head| head.contains(" 503 ") || wire.rest().len() < 100)
            }
            Speaks::Http2 => talk(address, async |talk| match talk.get("/").await {
                Ok(answer) => answer.status() == 503,
                Err(error) => error.is_reset() && error.is_remote(),
            }),
        });
        assert!(cut, "{client:?} {upstream:?}");
        gate.assert_settled();
    }
}

#[test]
fn an_early_answer_to_a_large_upload() {
    for (client, upstream) in PAIRS {
        let service = match upstream {
            Speaks::Http1 => Upstream::raw(|mut wire, _| {
                wire.head().unwrap();
                wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big");
                wire.finish();
                drop(wire.rest());
            }),
            Speaks::Http2 => http2::streams(async |mut stream| {
                let mut body = stream.answer(413, &[], false);
                body.send_data(Bytes::from_static(b"too big"), true).unwrap();
                // What is still to come of the request is not read.
                let _gone = stream.reset().await;
            }),
        };
        let gate = gate(&service, upstream);
        let answer = gate.run(move |address| match client {
            Speaks::Http1 => {
                let mut wire = connect(address);
                wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
                wire.send(&vec![b'x'; 100_000]);
                let answer = wire.answer(false);
                assert_eq!(answer.header("connection").unwrap(), "close");
                assert!(wire.rest().is_empty());
                answer
            }
            Speaks::Http2 => talk(address, async |talk| {
                let (response, mut stream) =
                    talk.start(http2::post("/", &[("content-length", "50000000")]), false).await;
                let sending = tokio::task::spawn_local(async move {
                    http2::write(&mut stream, Bytes::from(vec![b'x'; 50_000_000]), |_| ()).await
                });
                let answer = http2::receive(response).await.unwrap();
                let stopped = sending.await.unwrap().unwrap_err();
                assert_eq!(stopped.reason(), Some(Reason::NO_ERROR), "the answer says all (RFC 9113 section 8.1)");
                answer
            }),
        });
        assert_eq!((answer.status(), answer.text()), (413, "too big".to_owned()), "{client:?} {upstream:?}");
        gate.assert_settled();
    }
}

#[test]
fn an_answer_that_differs_from_its_length() {
    for client in [Speaks::Http1, Speaks::Http2] {
        for (length, sent) in [("5", "abc"), ("5", "abcdefgh"), ("1", "")] {
            let service = http2::streams(async move |mut stream| {
                let mut body = stream.answer(200, &[("content-length", length)], false);
                // The gateway may have broken the stream off by now.
                let _sent = body.send_data(Bytes::from_static(sent.as_bytes()), true);
            });
            let gate = gate(&service, Speaks::Http2);
            let whole = gate.run(move |address| match client {
                Speaks::Http1 => {
                    let mut wire = connect(address);
                    wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
                    let head = wire.head().unwrap_or_default();
                    let body = wire.rest();
                    head.contains(" 200 ") && body.len() >= length.parse().unwrap()
                }
                Speaks::Http2 => talk(address, async |talk| talk.get("/").await.is_ok_and(|a| a.status() == 200)),
            });
            assert!(!whole, "{client:?} {length} {sent:?}");
            gate.assert_settled();
        }
    }
}

#[test]
fn nothing_is_kept_of_refused_uploads() {
    let gate = Gate::new(&all_to(Upstream::refusing()));
    let statuses = gate.run(|address| {
        talk(address, async |talk| {
            let mut statuses = Vec::new();
            for length in [1, 70_000, 400_000] {
                let ask = Ask::new("POST").with(Body::of(&vec![1; length]));
                statuses.push(ask.send_http2(talk).await.map_or(0, |answer| answer.status()));
            }
            statuses
        })
    });
    // A body that is not wanted may be cut off together with its answer, or not.
    assert!(statuses.iter().all(|status| [0, 503].contains(status)), "{statuses:?}");
    assert_eq!(statuses[0], 503);
    gate.assert_settled();
}
