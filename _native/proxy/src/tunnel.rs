//! Connections that switched protocols (WebSocket and others): bytes both ways until both sides are done.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use sluice_http1::{HeaderKind, ResponseHead};

use crate::deadline::Meter;
use crate::downstream::Downstream;
use crate::relay::Progress;
use crate::request::Request;
use crate::stream::Stream;

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

fn base64(data: &[u8]) -> Vec<u8> {
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

/// Copies both ways. `early` are bytes the client sent right behind its request. Returns the bytes moved up and down.
pub(crate) async fn join(connection: &Downstream, client: &Stream, upstream: &Stream, early: &[u8]) -> (u64, u64) {
    let up_meter = Meter::new(&connection.deadlines);
    let down_meter = Meter::new(&connection.deadlines);
    let up = async {
        if !early.is_empty() {
            upstream.write_all(early).await?;
            up_meter.moved(early.len());
        }
        copy(connection, client, upstream, &up_meter).await
    };
    let down = copy(connection, upstream, client, &down_meter);
    {
        let mut up = std::pin::pin!(up);
        let mut down = std::pin::pin!(down);
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

/// Copies one direction to its end and passes the end on.
async fn copy(connection: &Downstream, from: &Stream, to: &Stream, meter: &Meter<'_>) -> io::Result<()> {
    let pool = &connection.shared.buffers;
    loop {
        let mut buffer = None;
        let count = poll_fn(|context| {
            let held = buffer.get_or_insert_with(|| pool.small());
            let polled = from.poll_read(context, held);
            if polled.is_pending()
                && let Some(idle) = buffer.take()
            {
                pool.put(idle);
            }
            polled
        })
        .await?;
        let Some(data) = buffer else { return Ok(()) };
        if count == 0 {
            pool.put(data);
            return to.shutdown_write().await;
        }
        let written = to.write_all(data.get(..count).unwrap_or_default()).await;
        pool.put(data);
        written?;
        meter.moved(count);
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
