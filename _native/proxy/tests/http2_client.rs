//! Clients that speak HTTP/2: what they may say, how they leave, how they are asked to leave.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use h2::Reason;
use http::Request;
use serde_json::json;
use support::Gate;
use support::config::{all_to, cluster, host, plain, route};
use support::http2::{self, talk};
use support::pair::{Ask, Body, Reply, Speaks, gate, service};
use support::upstream::{Upstream, ok};

const BOTH: [Speaks; 2] = [Speaks::Http1, Speaks::Http2];

#[test]
fn the_crumbs_of_a_cookie_become_one_field() {
    for upstream in BOTH {
        let service = service(upstream, |seen| Reply::ok(Body::of(seen.header("cookie").unwrap().as_bytes())));
        let gate = gate(&service, upstream);
        let mut ask = Ask::new("GET");
        ask.fields = vec![("cookie", "a=1"), ("x-between", "y"), ("cookie", "b=2; c=3"), ("cookie", "d=4")];
        let text = gate.run(move |address| ask.send(Speaks::Http2, address).text());
        assert_eq!(text, "a=1; b=2; c=3; d=4");
        gate.assert_settled();
    }
}

#[test]
fn one_connection_serves_two_hosts() {
    for upstream in BOTH {
        let services = ["a", "b"].map(|name| service(upstream, move |_| Reply::ok(Body::of(name.as_bytes()))));
        let mut sections = plain(&[], &[]);
        sections[0].1["virtual_hosts"] = json!(["a.test", "b.test"]);
        sections.pop();
        for (name, service) in ["a.test", "b.test"].into_iter().zip(&services) {
            let mut named = host(&[route("/", name)]);
            (named["name"], named["domains"]) = (json!(name), json!([name]));
            let mut cluster = cluster(name, &[service.address]);
            cluster["protocol"] = json!(if upstream == Speaks::Http2 { "http2" } else { "http1" });
            sections.extend([("virtual_host", named), ("cluster", cluster)]);
        }
        let gate = Gate::new(&sections);
        let got = gate.run(|address| {
            talk(address, async |talk| {
                let mut got = Vec::new();
                for name in ["a.test", "b.test", "a.test", "c.test"] {
                    let head = Request::get(format!("http://{name}/")).body(()).unwrap();
                    let answer = http2::receive(talk.start(head, true).await.0).await.unwrap();
                    got.push((answer.status(), answer.text()));
                }
                got
            })
        });
        let texts: Vec<_> = got.iter().map(|(status, text)| (*status, text.as_str())).collect();
        assert_eq!(texts[..3], [(200, "a"), (200, "b"), (200, "a")]);
        assert_eq!(texts[3].0, 404);
        for (name, service) in ["a.test", "b.test"].into_iter().zip(&services) {
            assert!(service.seen().iter().all(|seen| seen.header("host").unwrap() == name));
        }
        gate.assert_settled();
    }
}

#[test]
fn an_authority_and_another_host() {
    let upstream = Upstream::http(|seen| ok(&seen.header("host").unwrap()));
    let gate = Gate::new(&all_to(upstream.address));
    let got = gate.run(|address| {
        talk(address, async |talk| {
            let mut got = Vec::new();
            for host in ["h", "other"] {
                let head = Request::get("http://h/").header("host", host).body(()).unwrap();
                got.push(http2::receive(talk.start(head, true).await.0).await.unwrap());
            }
            got
        })
    });
    assert_eq!((got[0].status(), got[0].text()), (200, "h".to_owned()));
    assert_eq!(got[1].status(), 400);
    assert_eq!(upstream.seen().len(), 1);
    gate.assert_settled();
}

#[test]
fn leave_to_send_a_body() {
    for upstream in BOTH {
        let service = service(upstream, |seen| Reply::ok(Body::of(&seen.body)));
        let gate = gate(&service, upstream);
        let text = gate.run(|address| {
            talk(address, async |talk| {
                let head = http2::post("/", &[("expect", "100-continue"), ("content-length", "4")]);
                let (mut response, mut body) = talk.start(head, false).await;
                let interim = poll_fn(|context| response.poll_informational(context)).await.unwrap().unwrap();
                assert_eq!(interim.status(), 100);
                body.send_data(Bytes::from_static(b"body"), true).unwrap();
                http2::receive(response).await.unwrap().text()
            })
        });
        assert_eq!(text, "body");
        assert_eq!(service.seen()[0].header("expect"), None);
        gate.assert_settled();
    }
}

#[test]
fn no_leave_for_a_request_that_is_refused() {
    let mut sections = all_to(Upstream::refusing());
    sections[1].1["routes"] = json!([]);
    let gate = Gate::new(&sections);
    gate.run(|address| {
        talk(address, async |talk| {
            let head = http2::post("/", &[("expect", "100-continue"), ("content-length", "4")]);
            let (mut response, _body) = talk.start(head, false).await;
            let interim = poll_fn(|context| response.poll_informational(context)).await;
            assert!(interim.is_none(), "{interim:?}");
            assert_eq!(Pin::new(&mut response).await.unwrap().status(), 404);
        });
    });
    gate.assert_settled();
}

#[test]
fn a_body_that_differs_from_its_length() {
    for upstream in BOTH {
        for (length, sent) in [("5", "abc"), ("5", "abcdefgh"), ("1", "")] {
            let service = service(upstream, |_| Reply::ok(Body::of(b"never")));
            let gate = gate(&service, upstream);
            let reason = gate.run(move |address| {
                talk(address, async |talk| {
                    let (response, mut body) = talk.start(http2::post("/", &[("content-length", length)]), false).await;
                    // The gateway may have broken the stream off by the time of the second half.
                    let _first = body.send_data(Bytes::from_static(sent.as_bytes()), true);
                    let broken = http2::receive(response).await.map(|answer| answer.status());
                    let served = talk.get("/").await.unwrap().status();
                    assert_eq!(served, 200, "the connection goes on");
                    broken.map_err(|error| error.reason())
                })
            });
            assert_eq!(reason, Err(Some(Reason::PROTOCOL_ERROR)), "{upstream:?} {length} {sent:?}");
            let methods: Vec<_> = service.seen().iter().map(|seen| seen.line().to_owned()).collect();
            assert!(methods.len() == 1 && methods[0].starts_with("GET "), "no such request arrives: {methods:?}");
            gate.assert_settled();
        }
    }
}
