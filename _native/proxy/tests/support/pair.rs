//! The same exchange in either protocol, on either side of the gateway.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::spawn_local;

use super::config::all_to;
use super::http2::{self, talk};
use super::upstream::{Seen, Upstream};
use super::wire::Answer;
use super::{Gate, connect};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// What the client speaks, and what the service speaks.
pub(crate) const PAIRS: [(Speaks, Speaks); 4] = [
    (Speaks::Http1, Speaks::Http1),
    (Speaks::Http1, Speaks::Http2),
    (Speaks::Http2, Speaks::Http1),
    (Speaks::Http2, Speaks::Http2),
];

pub(crate) type Pairs = Vec<(&'static str, &'static str)>;

/// A body and how it is announced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) data: Vec<u8>,
    /// Its length is not said beforehand.
    pub(crate) open: bool,
    pub(crate) trailers: Pairs,
}

impl Body {
    pub(crate) fn of(data: &[u8]) -> Self {
        Self { data: data.to_vec(), ..Self::default() }
    }

    pub(crate) fn open(data: &[u8], trailers: &[(&'static str, &'static str)]) -> Self {
        Self { data: data.to_vec(), open: true, trailers: trailers.to_vec() }
    }

    /// The rest of an HTTP/1.1 message, from the framing field on.
    fn text(&self) -> Vec<u8> {
        if !self.open {
            let mut out = format!("content-length: {}\r\n\r\n", self.data.len()).into_bytes();
            out.extend_from_slice(&self.data);
            return out;
        }
        let mut out = b"transfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in self.data.chunks(5000) {
            out.extend(format!("{:x}\r\n", piece.len()).bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) fields: Pairs,
    pub(crate) body: Option<Body>,
}

impl Ask {
    pub(crate) fn new(method: &'static str) -> Self {
        Self { method, fields: Vec::new(), body: None }
    }

    pub(crate) fn with(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it on a connection of its own; the answer.
    pub(crate) fn send(&self, speaks: Speaks, address: SocketAddr) -> Answer {
        match speaks {
            Speaks::Http1 => self.send_http1(address),
            Speaks::Http2 => talk(address, async |talk| self.send_http2(talk).await.unwrap()),
        }
    }

    fn send_http1(&self, address: SocketAddr) -> Answer {
        let mut text = format!("{} / HTTP/1.1\r\nhost: h\r\n", self.method).into_bytes();
        for (name, value) in &self.fields {
            text.extend(format!("{name}: {value}\r\n").bytes());
        }
        match &self.body {
            Some(body) => text.extend(body.text()),
            None => text.extend_from_slice(b"\r\n"),
        }
        let mut wire = connect(address);
        let mut writer = wire.stream.try_clone().unwrap();
        // The answer may begin before the request is complete.
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &text).unwrap());
        let head = wire.head().expect("the gateway closed instead of answering");
        let answer = Answer { head, body: Vec::new(), trailers: String::new() };
        let bare = self.method == "HEAD" || [204, 304].contains(&answer.status());
        let (body, trailers) = if bare { (Vec::new(), String::new()) } else { wire.body(&answer.head) };
        writing.join().unwrap();
        Answer { body, trailers, ..answer }
    }

    pub(crate) async fn send_http2(&self, talk: &http2::Talk) -> Result<Answer, h2::Error> {
        let mut head = http::Request::builder().method(self.method).uri("http://h/");
        for (name, value) in &self.fields {
            head = head.header(*name, *value);
        }
        if let Some(body) = self.body.as_ref().filter(|body| !body.open) {
            head = head.header("content-length", body.data.len());
        }
        let (response, mut stream) = talk.start(head.body(()).unwrap(), self.body.is_none()).await;
        let writing = self.body.clone().map(|body| {
            spawn_local(async move {
                http2::write(&mut stream, Bytes::from(body.data), |_| ()).await?;
                http2::finish(&mut stream, &body.trailers)
            })
        });
        let answer = http2::receive(response).await;
        if let Some(writing) = writing {
            writing.await.unwrap()?;
        }
        answer
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Pairs,
    pub(crate) body: Option<Body>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: None }
    }

    pub(crate) fn ok(body: Body) -> Self {
        Self { body: Some(body), ..Self::new(200) }
    }

    fn text(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Said\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        match &self.body {
            Some(body) => out.extend(body.text()),
            None => out.extend_from_slice(b"\r\n"),
        }
        out
    }

    async fn send(&self, stream: &mut http2::Stream) -> Result<(), h2::Error> {
        let length = self.body.as_ref().filter(|body| !body.open).map(|body| body.data.len().to_string());
        let mut fields: Vec<(&str, &str)> = self.fields.clone();
        fields.extend(length.as_deref().map(|length| ("content-length", length)));
        let mut sending = stream.answer(self.status, &fields, self.body.is_none());
        let Some(body) = &self.body else { return Ok(()) };
        http2::write(&mut sending, Bytes::copy_from_slice(&body.data), |_| ()).await?;
        http2::finish(&mut sending, &body.trailers)
    }
}

/// A service that answers each whole request with what `answer` says.
pub(crate) fn service(speaks: Speaks, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Upstream {
    if speaks == Speaks::Http1 {
        return Upstream::http(move |seen| answer(seen).text());
    }
    let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = Arc::clone(&log);
    let mut upstream = http2::streams(async move |mut stream| {
        let Ok((body, trailers)) = http2::read(&mut stream.body).await else { return };
        let seen = Seen { connection: stream.connection, head: stream.head.clone(), body, trailers };
        let reply = answer(&seen);
        kept.lock().unwrap().push(seen);
        // The gateway may have lost interest.
        let _sent = reply.send(&mut stream).await;
    });
    upstream.seen = log;
    upstream
}

/// Everything to one upstream that speaks `speaks`.
pub(crate) fn all_speaking(address: SocketAddr, speaks: Speaks) -> Vec<(&'static str, Value)> {
    let mut sections = all_to(address);
    if speaks == Speaks::Http2 {
        sections.last_mut().unwrap().1["protocol"] = json!("http2");
    }
    sections
}

/// A gateway before a service of that protocol.
pub(crate) fn gate(upstream: &Upstream, speaks: Speaks) -> Gate {
    Gate::new(&all_speaking(upstream.address, speaks))
}
