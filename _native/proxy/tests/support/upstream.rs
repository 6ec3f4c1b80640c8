//! Services behind the gateway.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::wire::{Wire, header};

/// A request as it came out of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// The usual answer.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Upstream {
    /// Gives every connection, with its number, to `serve` in a thread of its own.
    pub(crate) fn raw(serve: impl Fn(Wire<TcpStream>, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream =
            Self { address: listener.local_addr().unwrap(), seen: Arc::default(), connections: Arc::default() };
        let (count, serve) = (Arc::clone(&upstream.connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (number, serve) = (count.fetch_add(1, Ordering::SeqCst), Arc::clone(&serve));
                std::thread::spawn(move || serve(Wire::tcp(stream.unwrap()), number));
            }
        });
        upstream
    }

    /// Answers each whole request with what `answer` says, until the gateway or `Connection: close` ends it.
    pub(crate) fn http(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&log);
        let mut upstream = Self::raw(move |mut wire, connection| {
            while let Some(head) = wire.head() {
                let (body, trailers) = wire.body(&head);
                let seen = Seen { connection, head, body, trailers };
                kept.lock().unwrap().push(seen.clone());
                let bytes = answer(&seen);
                wire.send(&bytes);
                if String::from_utf8_lossy(&bytes).to_ascii_lowercase().contains("connection: close") {
                    return;
                }
            }
        });
        upstream.seen = log;
        upstream
    }

    /// Answers with the request's own head and body.
    pub(crate) fn echo() -> Self {
        Self::http(|seen| {
            let mut bytes = ok(&"x".repeat(seen.body.len()));
            bytes.truncate(bytes.len() - seen.body.len());
            bytes.extend_from_slice(&seen.body);
            bytes
        })
    }

    /// Sends back every byte, then its end.
    pub(crate) fn mirror() -> Self {
        Self::raw(|mut wire, _| {
            let mut writer = wire.stream.try_clone().unwrap();
            drop(std::io::copy(&mut wire.stream, &mut writer));
            drop(writer.shutdown(std::net::Shutdown::Write));
        })
    }

    /// Says its name, then ends.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::raw(move |mut wire, _| wire.send(name.as_bytes()))
    }

    /// An address where nobody listens.
    pub(crate) fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
