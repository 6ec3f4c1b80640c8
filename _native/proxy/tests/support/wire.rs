//! The other side of an HTTP connection, naive and blocking.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::STALLED_MS;

pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

/// A complete message.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Everything up to the body, as received.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Lines behind the last chunk.
    pub(crate) trailers: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }
}

/// The values of a header, joined.
pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    let values: Vec<_> = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

impl Wire<TcpStream> {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_millis(STALLED_MS))).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(STALLED_MS))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The other side cut the connection, instead of ending it. Bytes that came before do not matter.
    pub(crate) fn was_reset(&mut self) -> bool {
        loop {
            match self.stream.read(&mut [0; 4096]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Closes so that the other side gets a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, data: &[u8]) {
        self.stream.write_all(data).unwrap();
        self.stream.flush().unwrap();
    }

    /// Reads some more; false at the end.
    fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece).unwrap();
        self.buffer.extend_from_slice(&piece[..count]);
        count > 0
    }

    /// Reads up to and with `end`; `None` if the peer closed before the first byte.
    pub(crate) fn up_to(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.more() {
                assert!(self.buffer.is_empty(), "cut: {:?}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        }
    }

    /// Reads a message head.
    pub(crate) fn head(&mut self) -> Option<String> {
        self.up_to(b"\r\n\r\n").map(|head| String::from_utf8(head).unwrap())
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more(), "cut after {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything until the peer closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    fn chunked(&mut self) -> (Vec<u8>, String) {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.up_to(b"\r\n").unwrap()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n");
        }
        let mut trailers = String::new();
        loop {
            let line = String::from_utf8(self.up_to(b"\r\n").unwrap()).unwrap();
            if line == "\r\n" {
                return (body, trailers);
            }
            trailers += &line;
        }
    }

    /// The message that follows a head.
    pub(crate) fn body(&mut self, head: &str) -> (Vec<u8>, String) {
        if header(head, "transfer-encoding").is_some() {
            return self.chunked();
        }
        let length = header(head, "content-length").map_or(0, |value| value.parse().unwrap());
        (self.take(length), String::new())
    }

    /// A whole answer that ends by its framing. `bare`: there is no body, whatever the head says (HEAD).
    pub(crate) fn answer(&mut self, bare: bool) -> Answer {
        let head = self.head().expect("the gateway closed instead of answering");
        let (body, trailers) = if bare { (Vec::new(), String::new()) } else { self.body(&head) };
        Answer { head, body, trailers }
    }
}
