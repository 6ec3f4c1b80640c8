//! Clients that speak HTTP/3, by an implementation that is not the gateway's.

use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig};
use serde_json::{Value, json};

use super::secure::Authority;
use super::{Gate, STALLED_MS, config};

/// The listener that serves HTTP/3 in the tests.
pub(crate) const NAME: &str = "quic";
/// The host that its certificate is for.
pub(crate) const HOST: &str = "one.example";

pub(crate) type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// A listener for HTTP/3 with a certificate for [`HOST`], beside the sections of `plain`.
pub(crate) fn sections(authority: &Authority, mut plain: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    plain.push(("certificate", config::certificate("one", &authority.issue(HOST))));
    plain.push(("listener", listener(&[config::termination(&[HOST], "one")])));
    plain
}

pub(crate) fn listener(terminations: &[Value]) -> Value {
    let mut listener = config::listener();
    listener["name"] = json!(NAME);
    listener["tls"] = json!(true);
    listener["protocol"] = json!("udp");
    listener["http3"] = json!(true);
    listener["terminations"] = json!(terminations);
    listener
}

impl Gate {
    /// Serves HTTP/3 on a port of its own, whose address is the result.
    pub(crate) fn serve_udp(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        self.engine.listen_udp(NAME, OwnedFd::from(socket)).unwrap();
        address
    }
}

/// Runs a client to its end, or until it hangs.
pub(crate) fn run<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let limit = Duration::from_millis(STALLED_MS);
        tokio::time::timeout(limit, work).await.expect("the client hangs")
    })
}

pub(crate) fn client_config(authority: &Authority) -> ClientConfig {
    let mut tls = (*authority.client()).clone();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A connection below HTTP.
pub(crate) async fn dial(config: &ClientConfig, address: SocketAddr) -> Result<Connection, quinn::ConnectionError> {
    endpoint().connect_with(config.clone(), address, HOST).unwrap().await
}

/// Says goodbye and waits until that has left.
pub(crate) async fn close(quic: &Connection) {
    quic.close(0x100_u32.into(), b"");
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// A client's connection.
pub(crate) struct Http3 {
    pub(crate) quic: Connection,
    pub(crate) send: SendRequest<OpenStreams, Bytes>,
    /// How the connection ended.
    pub(crate) driver: tokio::task::JoinHandle<h3::error::ConnectionError>,
}

impl Http3 {
    pub(crate) async fn connect(config: &ClientConfig, address: SocketAddr) -> Self {
        Self::over(dial(config, address).await.unwrap()).await
    }

    pub(crate) async fn over(quic: Connection) -> Self {
        let (mut driver, send) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
        let driver = tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
        Self { quic, send, driver }
    }

    pub(crate) async fn close(self) {
        close(&self.quic).await;
    }

    /// Sends the head of a request; with `body` the stream stays open.
    pub(crate) async fn open(&mut self, request: Request<()>) -> Stream {
        self.send.send_request(request).await.unwrap()
    }

    /// A whole exchange.
    pub(crate) async fn ask(&mut self, request: Request<()>, body: &[u8]) -> Answer {
        let mut stream = self.open(request).await;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body)).await.unwrap();
        }
        stream.finish().await.unwrap();
        answer(&mut stream).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(request("GET", path), b"").await
    }
}

pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) async fn answer(stream: &mut Stream) -> Answer {
    let head = stream.recv_response().await.unwrap();
    let mut body = Vec::new();
    while let Some(mut piece) = stream.recv_data().await.unwrap() {
        let count = piece.remaining();
        body.extend_from_slice(&piece.copy_to_bytes(count));
    }
    let trailers = stream.recv_trailers().await.unwrap();
    Answer { head, body, trailers }
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("https://{HOST}{path}")).body(()).unwrap()
}

/// Windows that stop the gateway early.
pub(crate) fn narrow(bytes: u32) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(bytes.into()).receive_window(bytes.into());
    Arc::new(transport)
}
