//! HTTP/2 that TLS has chosen, on both sides of the gateway.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use support::config::{all_to, certificate, cluster, plain, route, termination};
use support::http2::{self, Talk, block_on};
use support::secure::{self, Authority};
use support::upstream::{Upstream, ok};
use support::{Gate, exchange};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Two names with certificates of their own, both with HTTP/2.
fn encrypted(authority: &Authority, upstream: &Upstream) -> Vec<(&'static str, Value)> {
    let mut sections = all_to(upstream.address);
    let mut terminations = Vec::new();
    for name in ["a.test", "b.test"] {
        sections.push(("certificate", certificate(name, &authority.issue(name))));
        let mut termination = termination(&[name], name);
        termination["alpn"] = json!(["h2", "http/1.1"]);
        terminations.push(termination);
    }
    sections[0].1["tls"] = json!(true);
    sections[0].1["terminations"] = json!(terminations);
    sections
}

fn offering(config: &Arc<ClientConfig>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects to `a.test`, which must choose HTTP/2.
async fn connect(config: Arc<ClientConfig>, address: SocketAddr) -> Talk {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("a.test").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    Talk::over(stream).await
}

#[test]
fn the_client_and_the_listener_choose() {
    let authority = Authority::new();
    let upstream = Upstream::http(|seen| ok(&seen.header("x-forwarded-proto").unwrap()));
    let gate = Gate::new(&encrypted(&authority, &upstream));
    let config = authority.client();
    gate.run(move |address| {
        let both = offering(&config, &["http/1.1", "h2"]);
        block_on(async {
            let talk = connect(both, address).await;
            for _ in 0..3 {
                let head = Request::get("https://a.test/").body(()).unwrap();
                assert_eq!(http2::receive(talk.start(head, true).await.0).await.unwrap().text(), "https");
            }
        });
        for offered in [&["http/1.1"][..], &[]] {
            let mut wire = secure::connect(&offering(&config, offered), address, "a.test", b"");
            wire.send(GET);
            assert_eq!(wire.answer(false).text(), "https");
        }
    });
    gate.assert_settled();
}

#[test]
fn another_host_is_misdirected() {
    let authority = Authority::new();
    let upstream = Upstream::echo();
    let gate = Gate::new(&encrypted(&authority, &upstream));
    let config = offering(&authority.client(), &["h2"]);
    let statuses = gate.run(move |address| {
        block_on(async {
            let talk = connect(config, address).await;
            let mut statuses = Vec::new();
            for host in ["a.test", "b.test", "a.test"] {
                let head = Request::get(format!("https://{host}/")).body(()).unwrap();
                statuses.push(http2::receive(talk.start(head, true).await.0).await.unwrap().status());
            }
            statuses
        })
    });
    assert_eq!(statuses, [200, 421, 200], "the rules of a host hold for its own connections only");
    assert_eq!(upstream.seen().len(), 2);
    gate.assert_settled();
}

/// An endpoint with TLS that serves HTTP/2, whatever was negotiated.
fn endpoint(config: Arc<ServerConfig>) -> Upstream {
    Upstream::raw(move |wire, number| {
        wire.stream.set_nonblocking(true).unwrap();
        block_on(async {
            let stream = TcpStream::from_std(wire.stream).unwrap();
            let stream = TlsAcceptor::from(Arc::clone(&config)).accept(stream).await.unwrap();
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let scheme = request.uri().scheme_str().unwrap().to_owned();
                http2::Stream::new(number, (request, respond)).ok(&scheme);
            }
        });
    })
}

#[test]
fn endpoints_with_tls() {
    for spoken in [&["h2"][..], &["http/1.1", "h2"], &[]] {
        let authority = Authority::new();
        let mut server = ServerConfig::clone(&authority.server("up.test"));
        server.alpn_protocols = spoken.iter().map(|name| name.as_bytes().to_vec()).collect();
        let upstream = endpoint(Arc::new(server));
        let mut sections = plain(&[route("/", "one")], &[]);
        let mut secured = cluster("one", &[upstream.address]);
        secured["tls"] = json!({"server_name": "up.test", "ca": authority.pem, "alpn": ["h2"]});
        secured["protocol"] = json!("http2");
        sections.push(("cluster", secured));
        let gate = Gate::new(&sections);
        for _ in 0..2 {
            let answer = gate.run(|address| exchange(address, GET));
            if spoken.is_empty() {
                assert_eq!(answer.status(), 503, "an endpoint that did not agree to HTTP/2 is not spoken to in it");
            } else {
                assert_eq!((answer.status(), answer.text()), (200, "https".to_owned()));
            }
        }
        gate.assert_settled();
    }
}
