//! HTTP/3 in front of the gateway: requests, bodies, trailers, names, what becomes of connections.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::io::Write as _;

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use serde_json::json;
use sluice_policy::stats::{Field, Global};
use support::Gate;
use support::config::{all_to, certificate, plain, route, route_to, termination};
use support::quic::{self, HOST, Http3, NAME, answer, request};
use support::secure::Authority;
use support::upstream::{Upstream, ok};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn requests_share_a_connection() {
    let upstream = Upstream::http(|seen| ok(&format!("{} {}", seen.line(), String::from_utf8_lossy(&seen.body))));
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let texts = gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut texts = Vec::new();
            for path in ["/a?b=c", "/%7euser", "/x/../y"] {
                let answer = client.get(path).await;
                assert_eq!(answer.status(), 200);
                assert!(answer.head.headers().contains_key("date") && answer.trailers.is_none());
                texts.push(answer.text().to_owned());
            }
            texts.push(client.ask(request("POST", "/p"), b"hello").await.text().to_owned());
            client.close().await;
            texts
        })
    });
    let lines = ["GET /a?b=c HTTP/1.1 ", "GET /~user HTTP/1.1 ", "GET /y HTTP/1.1 ", "POST /p HTTP/1.1 hello"];
    assert_eq!(texts, lines);
    let seen = upstream.seen();
    assert_eq!(seen[0].header("host").as_deref(), Some(HOST));
    assert_eq!(seen[0].header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(seen[0].header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!((seen[0].header("content-length"), seen[0].header("transfer-encoding")), (None, None));
    assert_eq!(seen[3].header("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!((gate.global(Global::Requests), gate.listener(Field::Connections)), (4, 1));
    gate.assert_settled();
}

#[test]
fn large_bodies_both_ways() {
    const SIZE: usize = 1024 * 1024;
    let upstream = Upstream::http(|seen| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.body.len()).into_bytes();
        bytes.extend_from_slice(&seen.body);
        bytes
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let mut config = quic::client_config(&authority);
    config.transport_config(quic::narrow(20_000));
    let body = gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let stream = client.open(request("PUT", "/")).await;
            let (mut up, mut down) = stream.split();
            let sending = tokio::spawn(async move {
                for piece in pattern(SIZE).chunks(100_000) {
                    up.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                up.finish().await.unwrap();
            });
            assert_eq!(down.recv_response().await.unwrap().status(), 200);
            let mut body = Vec::new();
            while let Some(mut piece) = down.recv_data().await.unwrap() {
                let count = piece.remaining();
                body.extend_from_slice(&piece.copy_to_bytes(count));
            }
            sending.await.unwrap();
            client.close().await;
            body
        })
    });
    assert!(body == pattern(SIZE));
    assert_eq!(gate.listener(Field::BytesIn), SIZE as u64);
    assert_eq!(gate.listener(Field::BytesOut), SIZE as u64);
    gate.assert_settled();
}

#[test]
fn a_client_that_reads_nothing_stops_the_upstream() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head().unwrap();
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while wire.stream.write_all(&[7; 16 * 1024]).is_ok() {}
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let mut config = quic::client_config(&authority);
    config.transport_config(quic::narrow(50_000));
    let (told, stalled) = std::sync::mpsc::channel();
    let client = gate.start(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut stream = client.open(request("GET", "/")).await;
            stream.finish().await.unwrap();
            assert_eq!(stream.recv_response().await.unwrap().status(), 200);
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            told.send(()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            stream.stop_sending(Code::H3_REQUEST_CANCELLED);
            // The connection is as good as before.
            client.close().await;
        });
    });
    gate.until("a stalled client", || stalled.try_recv().is_ok());
    gate.join(&client);
    gate.until("the end of the request", || gate.engine.in_flight() == 0);
    // The window of the client, a buffer of the gateway, what the sockets hold: not what the upstream could send in 0.5 s.
    assert!(gate.listener(Field::BytesOut) < 300_000, "{}", gate.listener(Field::BytesOut));
    gate.assert_settled();
}

#[test]
fn trailers_both_ways() {
    let upstream = Upstream::http(|seen| {
        assert!(seen.trailers.to_ascii_lowercase().contains("x-sum: 42"), "{}", seen.trailers);
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Back: 7\r\n\r\n".to_vec()
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let (text, trailers) = gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut stream = client.open(request("POST", "/")).await;
            stream.send_data(Bytes::from_static(b"body")).await.unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            stream.send_trailers(trailers).await.unwrap();
            stream.finish().await.unwrap();
            let answer = answer(&mut stream).await;
            client.close().await;
            (answer.text().to_owned(), answer.trailers.unwrap())
        })
    });
    assert_eq!((text.as_str(), trailers["x-back"].to_str().unwrap()), ("ok", "7"));
    assert_eq!(upstream.seen()[0].body, b"body");
    gate.assert_settled();
}

#[test]
fn an_upstream_that_breaks_off_resets_the_stream() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head().unwrap();
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut stream = client.open(request("GET", "/")).await;
            stream.finish().await.unwrap();
            // The reset may overtake what was sent before it (RFC 9000 section 3.2).
            let failed = match stream.recv_response().await {
                Err(error) => error,
                Ok(_) => loop {
                    match stream.recv_data().await {
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("a cut answer looks complete"),
                        Err(error) => break error,
                    }
                },
            };
            assert!(
                matches!(&failed, StreamError::RemoteTerminate { code, .. } if *code == Code::H3_INTERNAL_ERROR),
                "{failed:?}"
            );
            client.close().await;
        });
    });
    gate.assert_settled();
}

#[test]
fn a_cancelled_request_ends_at_the_upstream() {
    let upstream = Upstream::raw(|mut wire, _| {
        wire.head().unwrap();
        assert!(wire.rest().is_empty());
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let (cancel, told) = std::sync::mpsc::channel::<()>();
    let client = gate.start(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut stream = client.open(request("GET", "/")).await;
            stream.finish().await.unwrap();
            while told.try_recv().is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            stream.stop_sending(Code::H3_REQUEST_CANCELLED);
            let _rest = client.driver.await;
        });
    });
    gate.until("a request at the upstream", || upstream.connections() == 1 && gate.engine.in_flight() == 1);
    cancel.send(()).unwrap();
    gate.until("the end of the request", || gate.engine.in_flight() == 0);
    gate.engine.drain();
    gate.join(&client);
    gate.assert_settled();
}

#[test]
fn a_name_chooses_its_settings() {
    let authority = Authority::new();
    let clients = Authority::new();
    let mut guarded = termination(&["two.example"], "two");
    guarded["client_ca"] = json!(clients.pem);
    guarded["client_cert_required"] = json!(true);
    let old = json!({"server_names": ["old.example"], "certificate": "old", "origin": guarded["origin"],
        "max_version": "1.2"});
    let terminations = [termination(&[HOST], "one"), guarded, old];
    let mut sections = plain(&[route_to("/", "direct", json!({"status": 200, "body": "x"}))], &[]);
    for (name, host) in [("one", HOST), ("two", "two.example"), ("old", "old.example")] {
        sections.push(("certificate", certificate(name, &authority.issue(host))));
    }
    sections.push(("listener", quic::listener(&terminations)));
    let gate = Gate::new(&sections);
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            assert_eq!(client.get("/").await.status(), 200);
            // Another name's rules about client certificates are not walked around (RFC 9110 section 15.5.20).
            let other = http::Request::get("https://two.example/").body(()).unwrap();
            assert_eq!(client.ask(other, b"").await.status(), 421);
            for name in ["two.example", "old.example", "unknown.example"] {
                let connecting = quic::endpoint().connect_with(config.clone(), address, name).unwrap();
                let refused = match connecting.await {
                    Err(error) => error,
                    // TLS 1.3 lets a client believe that it is through before its certificate is missed.
                    Ok(connection) => connection.closed().await,
                };
                assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{name}: {refused}");
            }
            client.close().await;
        });
    });
    assert_eq!(gate.global(Global::TlsFailures), 3);
    gate.assert_settled();
}

#[test]
fn a_long_hello_is_read_to_its_end() {
    let upstream = Upstream::http(|_| ok("fine"));
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let mut tls = (*authority.client()).clone();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    // Together with the rest more than TLS records, and reads of the library, take at once.
    tls.alpn_protocols.extend((0..30).map(|at| format!("{at:0200}").into_bytes()));
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(crypto));
    let text = gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let text = client.get("/").await.text().to_owned();
            client.close().await;
            text
        })
    });
    assert_eq!(text, "fine");
    gate.assert_settled();
}

#[test]
fn a_new_certificate_reaches_new_connections() {
    let upstream = Upstream::http(|_| ok("x"));
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let (go, told) = std::sync::mpsc::channel::<()>();
    let (ready, connected) = std::sync::mpsc::channel();
    let client = gate.start(move |_| {
        quic::run(async {
            let shown = |client: &Http3| {
                let chain = client.quic.peer_identity().unwrap();
                chain.downcast::<Vec<rustls_pki_types::CertificateDer<'static>>>().unwrap()[0].to_vec()
            };
            let mut old = Http3::connect(&config, address).await;
            assert_eq!(old.get("/").await.status(), 200);
            ready.send(()).unwrap();
            while told.try_recv().is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let new = Http3::connect(&config, address).await;
            assert_ne!(shown(&old), shown(&new));
            assert_eq!(old.get("/").await.status(), 200);
            new.close().await;
            old.close().await;
        });
    });
    gate.until("an old connection", || connected.try_recv().is_ok());
    gate.apply(2, &quic::sections(&authority, all_to(upstream.address)));
    go.send(()).unwrap();
    gate.join(&client);
    gate.assert_settled();
}

#[test]
fn a_drain_says_goodbye_and_lets_requests_finish() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::http(move |_| {
        held.lock().unwrap().recv().unwrap();
        ok("done")
    });
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let client = gate.start(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            let mut stream = client.open(request("GET", "/")).await;
            stream.finish().await.unwrap();
            let text = answer(&mut stream).await.text().to_owned();
            (
                text,
                client.driver.await.unwrap().is_h3_no_error(),
                client.send.send_request(request("GET", "/")).await.is_err(),
            )
        })
    });
    gate.until("a request under way", || upstream.seen().len() == 1);
    gate.engine.drain();
    release.send(()).unwrap();
    assert_eq!(gate.join(&client), ("done".to_owned(), true, true));
    gate.until("the end of every connection", || gate.engine.connections() == 0);
    // New connections are refused at once, so that clients take another way.
    let config = quic::client_config(&authority);
    let refused = gate.run(move |_| quic::run(async { quic::dial(&config, address).await.unwrap_err() }));
    assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
    gate.assert_settled();
}

#[test]
fn a_socket_that_is_listened_on_again_keeps_its_connections() {
    let upstream = Upstream::http(|_| ok("x"));
    let authority = Authority::new();
    let sections = quic::sections(&authority, plain(&[route("/", "one")], &[("one", upstream.address)]));
    let gate = Gate::new(&sections);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    gate.engine.listen_udp("unknown", socket.try_clone().unwrap().into()).unwrap();
    let config = quic::client_config(&authority);
    let first = config.clone();
    gate.run(move |_| quic::run(async { assert!(quic::dial(&first, address).await.is_err()) }));
    gate.engine.listen_udp(NAME, socket.try_clone().unwrap().into()).unwrap();
    let again = config.clone();
    gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&again, address).await;
            for _ in 0..20 {
                assert_eq!(client.get("/").await.status(), 200);
            }
            client.close().await;
        });
    });
    gate.engine.unlisten(NAME);
    gate.until("the end of every connection", || gate.engine.connections() == 0);
    gate.engine.listen_udp(NAME, socket.into()).unwrap();
    gate.run(move |_| {
        quic::run(async {
            let mut client = Http3::connect(&config, address).await;
            assert_eq!(client.get("/").await.status(), 200);
            client.close().await;
        });
    });
    gate.assert_settled();
}
