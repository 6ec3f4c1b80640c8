//! Connections that switched protocols (WebSocket and others): bytes both ways until both sides are done.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use sluice_http1::{HeaderKind, ResponseHead};

use crate::body::{Incoming, Outgoing};
use crate::buffers::SMALL;
use crate::client::Client;
use crate::copy::{Broken, copy, read};
use crate::deadline::{Deadlines, Meter};
use crate::downstream::{Downstream, LINGER_NS};
use crate::relay::{Progress, RelayError, Sink};
use crate::request::Request;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::websocket::{Frames, GOING_AWAY};

/// RFC 6455 section 1.3.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a 101 answers what was asked: the protocol, and for WebSocket the key (row A13).
pub(crate) fn check_switch(
    request: &Request<'_>,
    asked: &[u8],
    head: &ResponseHead,
    bytes: &[u8],
) -> Result<(), &'static str> {
    let switched = head.upgrade.as_ref().map(|span| span.of(bytes));
    if !switched.is_some_and(|protocol| protocol.eq_ignore_ascii_case(asked)) {
        return Err("it switched to another protocol than the one asked for");
    }
    if !asked.eq_ignore_ascii_case(b"websocket") {
        return Ok(());
    }
    let key = request.head.header(request.bytes, b"sec-websocket-key").unwrap_or_default();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(WEBSOCKET_GUID);
    let expected = base64(digest.finish().as_ref());
    let accept = head.headers.iter().find(|entry| {
        entry.kind == HeaderKind::Other && entry.name.of(bytes).eq_ignore_ascii_case(b"sec-websocket-accept")
    });
    match accept {
        Some(entry) if entry.value.of(bytes) == expected.as_slice() => Ok(()),
        _ => Err("its Sec-WebSocket-Accept does not match the key"),
    }
}

/// RFC 4648 section 4.
pub(crate) fn base64(data: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let [a, b, c] = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let group = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        for index in 0..4 {
            let digit = (group >> (18 - 6 * index)) & 63;
            out.push(if index > chunk.len() { b'=' } else { ALPHABET[digit as usize] });
        }
    }
    out
}

/// The client's end of a tunnel.
enum Far<'t> {
    Http1(&'t Stream),
    /// A stream of frames; what it carries is taken once.
    Frames(Outgoing<'t>, RefCell<Option<Box<Incoming<'t>>>>),
}

/// What ended the bytes of one direction.
fn failure(error: RelayError) -> io::Error {
    match error {
        RelayError::Read(Some(error)) | RelayError::Write(error) => error,
        RelayError::Read(None) => io::ErrorKind::UnexpectedEof.into(),
        RelayError::Framing(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
    }
}

impl<'t> Far<'t> {
    fn of(client: &'t Client) -> Self {
        let body = match client {
            Client::Http1(stream) => return Self::Http1(stream),
            Client::Http2(stream) => stream.take_body().map(Incoming::Http2),
            Client::Http3(stream) => stream.take_body().map(Incoming::Http3),
        };
        Self::Frames(client.outgoing(Sink::Identity), RefCell::new(body.map(Box::new)))
    }

    async fn write(&self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Http1(stream) => stream.write_all(data).await,
            Self::Frames(to, _) => to.send(Bytes::copy_from_slice(data), false).await.map_err(failure),
        }
    }

    async fn end(&self) -> io::Result<()> {
        match self {
            Self::Http1(stream) => stream.shutdown_write().await,
            Self::Frames(to, _) => to.send(Bytes::new(), true).await.map_err(failure),
        }
    }
}

/// One tunnel.
struct Tunnel<'t> {
    shared: &'t Shared,
    deadlines: &'t Deadlines,
    far: Far<'t>,
    upstream: &'t Stream,
    /// Follows what goes to the client, where that is known to be WebSocket.
    frames: Option<RefCell<Frames>>,
    /// The client was told that the gateway goes away; nothing may follow that.
    parted: Cell<bool>,
}

/// Copies both ways. `early` are bytes the client sent right behind its request, `first` those that came with the
/// upstream's head and were passed on. Returns the bytes moved up and down.
pub(crate) async fn join(
    connection: &Downstream,
    upstream: &Stream,
    early: &[u8],
    first: &[u8],
    websocket: bool,
) -> (u64, u64) {
    let mut frames = Frames::default();
    frames.pass(if websocket { first } else { b"" });
    let tunnel = Tunnel {
        shared: &connection.shared,
        deadlines: &connection.deadlines,
        far: Far::of(&connection.client),
        upstream,
        frames: websocket.then(|| RefCell::new(frames)),
        parted: Cell::new(false),
    };
    let up_meter = Meter::new(&connection.deadlines);
    let down_meter = Meter::new(&connection.deadlines);
    {
        let mut up = pin!(tunnel.up(early, &up_meter));
        let mut down = pin!(tunnel.down(&down_meter));
        let (mut up_done, mut down_done) = (false, false);
        let both = poll_fn(|context| {
            if !up_done && let Poll::Ready(result) = up.as_mut().poll(context) {
                up_done = true;
                if result.is_err() {
                    return Poll::Ready(());
                }
            }
            if !down_done && let Poll::Ready(result) = down.as_mut().poll(context) {
                down_done = true;
                if result.is_err() {
                    return Poll::Ready(());
                }
            }
            if up_done && down_done { Poll::Ready(()) } else { Poll::Pending }
        });
        // The idle timeout ends a tunnel as an end of stream does.
        connection.deadlines.within(both).await;
    }
    (up_meter.bytes(), down_meter.bytes())
}

impl Tunnel<'_> {
    /// From the client to the upstream, to the end, which is passed on.
    async fn up(&self, early: &[u8], meter: &Meter<'_>) -> io::Result<()> {
        if !early.is_empty() {
            self.upstream.write_all(early).await?;
            meter.moved(early.len());
        }
        match &self.far {
            Far::Http1(client) => match copy(&self.shared.buffers, client, self.upstream, meter).await {
                // WebSocket says in its own frames what is whole, and browsers end it so.
                Err(Broken::Cut) => self.upstream.shutdown_write().await,
                done => Ok(done?),
            },
            Far::Frames(_, body) => {
                let Some(mut body) = body.take() else { return Ok(()) };
                while let Some((data, _)) = body.data().await.map_err(failure)? {
                    self.upstream.write_all(&data).await?;
                    meter.moved(data.len());
                }
                self.upstream.shutdown_write().await
            }
        }
    }

    /// From the upstream to the client.
    async fn down(&self, meter: &Meter<'_>) -> io::Result<()> {
        let mut bulk = false;
        loop {
            let waited = read(&self.shared.buffers, self.upstream, bulk, || self.may_part()).await?;
            let Some((data, count)) = waited else {
                self.parted.set(true);
                self.far.write(&GOING_AWAY).await?;
                // The client answers with a close frame, which ends the upstream's side as well.
                self.deadlines.tunnel(LINGER_NS);
                continue;
            };
            if count == 0 {
                self.shared.buffers.put(data);
                return self.far.end().await;
            }
            bulk = count >= SMALL;
            let bytes = data.get(..count).unwrap_or_default();
            if let Some(frames) = &self.frames {
                frames.borrow_mut().pass(bytes);
            }
            // Nothing may follow a close frame, and what is dropped does not keep the tunnel alive.
            let parted = self.parted.get();
            let written = if parted { Ok(()) } else { self.far.write(bytes).await };
            self.shared.buffers.put(data);
            written?;
            if !parted {
                meter.moved(count);
            }
        }
    }

    fn may_part(&self) -> bool {
        self.shared.draining.get()
            && !self.parted.get()
            && self.frames.as_ref().is_some_and(|frames| frames.borrow().is_between())
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_matches_rfc_4648() {
        for (data, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(data.as_bytes()), text.as_bytes(), "{data}");
        }
    }
}
