//! Mirrored requests: sent on their own, their answers read and dropped.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use sluice_http1::{Framing, HeadLimits, parse_response};
use sluice_policy::headers::HeaderEdits;
use sluice_snapshot::{Compiled, HostRewrite, Route, Shadow};

use crate::buffers::{Inbox, LARGE};
use crate::heads;
use crate::http2::body::Http2Body;
use crate::relay::Source;
use crate::request::{Request, joined};
use crate::request_head::{BodyHeader, UpstreamHead};
use crate::shared::Shared;
use crate::stream::Stream;
use crate::upstream::{Ask, Wire, acquire};

/// Longest time a mirrored request may take, in nanoseconds.
const MIRROR_TIMEOUT_NS: u64 = 10_000_000_000;
/// Mirrored requests under way at once in a worker: a slow mirror must not pile up memory.
const MIRRORS: usize = 1024;

/// Starts the mirrors of a route for this request. A request whose body has not arrived yet is not mirrored: holding
/// the body back would slow the real request down.
pub(crate) fn mirror(request: &Request<'_>, route: &Route) {
    let shared = &request.connection.shared;
    let present = request.bytes.len() - request.head_len;
    let body = match request.head.framing {
        Framing::None => 0,
        Framing::Length(length) if length <= present as u64 => usize::try_from(length).unwrap_or(usize::MAX),
        _ => return,
    };
    for shadow in &route.shadows {
        if shared.percent() >= shadow.percent || shared.host.tasks() > shared.connections.get() + MIRRORS {
            continue;
        }
        let Some(message) = message(request, route, shadow, body) else { continue };
        let compiled = shared.compiled();
        let cluster = shadow.cluster;
        let state = Rc::clone(shared);
        let method = request.head.method;
        shared.host.spawn_in_turn(async move {
            let timer = sluice_host::Timer::new(&state.host);
            timer.set(state.host.now_ns() + MIRROR_TIMEOUT_NS);
            let mut work = std::pin::pin!(send(&state, &compiled, cluster, &message, method));
            std::future::poll_fn(|context| {
                if work.as_mut().poll(context).is_ready() {
                    return std::task::Poll::Ready(());
                }
                timer.poll_expired(context)
            })
            .await;
        });
    }
}

fn message(request: &Request<'_>, route: &Route, shadow: &Shadow, body: usize) -> Option<Mirrored> {
    let path = request.head.path(request.bytes);
    let mut rewritten = Vec::new();
    let target: &[u8] = match &shadow.path_rewrite {
        None => path,
        Some(rewrite) => {
            rewrite.apply(path, route.path.matched(path), &mut rewritten).ok()?;
            &rewritten
        }
    };
    // Envoy appends "-shadow" to the host of mirrored requests, so that the backend can tell them.
    let mut host = match &shadow.host_rewrite {
        HostRewrite::Literal(host) => host.to_vec(),
        _ => request.authority().to_vec(),
    };
    let port = host.iter().rposition(|&byte| byte == b':').filter(|at| !host[*at..].contains(&b']'));
    let suffix = b"-shadow".iter().copied();
    let at = port.unwrap_or(host.len());
    host.splice(at..at, suffix);
    let headers = request.view();
    let full = joined(target, request.head.query(request.bytes));
    let facts = request.facts(&full, None, &headers);
    let none = HeaderEdits::default();
    let mut out = Vec::with_capacity(1024 + body);
    UpstreamHead {
        head: request.head,
        bytes: request.bytes,
        head_len: request.head_len,
        path: target,
        original_path: None,
        host: &host,
        client: &request.client,
        peer: request.connection.peer.ip(),
        append_peer: request.compiled.options.trust.use_remote_address,
        request_id: &request.request_id,
        timeout_ms: 0,
        suppress_envoy: request.compiled.options.suppress_envoy_headers,
        body: if request.head.framing == Framing::None { BodyHeader::None } else { BodyHeader::Length(body as u64) },
        upgrade: None,
        edits: &none,
        edit_facts: &facts,
        filter_remove: &[],
        filter_set: &[],
        change: None,
        case: &request.compiled.options.header_case,
    }
    .write(&mut out);
    let head = out.len();
    out.extend_from_slice(request.bytes.get(request.head_len..request.head_len + body).unwrap_or_default());
    Some(Mirrored { text: out, head })
}

/// A mirrored request as HTTP/1.1 text.
struct Mirrored {
    text: Vec<u8>,
    head: usize,
}

async fn send(
    shared: &Rc<Shared>,
    compiled: &Arc<Compiled>,
    cluster: sluice_snapshot::ClusterId,
    message: &Mirrored,
    method: sluice_http1::Method,
) -> Option<()> {
    let cluster = compiled.cluster(cluster)?;
    let version = compiled.version;
    let ask = Ask { cluster, version, key: None, avoid: &[], fresh: false, limited: None, preface: b"" };
    let (upstream, wire) = acquire(shared, &ask).await.ok()?;
    match &wire {
        Wire::Http1(link) => {
            link.stream.write_all(&message.text).await.ok()?;
            let keep = drop_answer(shared, &compiled.options.head_limits, &link.stream, method).await?;
            if keep {
                upstream.keep(wire);
            }
        }
        Wire::Http2(lease) => {
            let scheme = if cluster.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            let (head, body) = message.text.split_at(message.head);
            let request = heads::request(&Bytes::copy_from_slice(head), scheme).ok()?;
            lease.start(request, body.is_empty()).await.ok()?;
            lease.sender.send(Bytes::copy_from_slice(body), !body.is_empty()).await.ok()?;
            let (_, answer) = lease.response().await.ok()?;
            let mut answer = Http2Body::new(answer);
            while answer.data().await.ok()?.is_some() {}
        }
    }
    Some(())
}

/// Reads an answer to its end. Tells whether the connection can be used again.
async fn drop_answer(
    shared: &Shared,
    limits: &HeadLimits,
    stream: &Stream,
    method: sluice_http1::Method,
) -> Option<bool> {
    let mut inbox = Inbox::default();
    let mut head = shared.scratch.response();
    let length = loop {
        let space = inbox.space(&shared.buffers, limits.max_head_bytes + LARGE);
        let count = std::future::poll_fn(|context| stream.poll_read(context, space)).await.ok()?;
        if count == 0 {
            return None;
        }
        inbox.filled(count);
        if let Some(length) = parse_response(inbox.bytes(), limits, method, &mut head).ok()? {
            if head.status >= 200 {
                break length;
            }
            inbox.consume(length);
        }
    };
    inbox.consume(length);
    let mut source = Source::of(head.framing);
    loop {
        let present = inbox.len();
        let piece = source.decode(inbox.bytes_mut()).ok()?;
        inbox.consume(present);
        if piece.finished || source.is_finished() {
            break;
        }
        let space = inbox.space(&shared.buffers, LARGE);
        let count = std::future::poll_fn(|context| stream.poll_read(context, space)).await.ok()?;
        if count == 0 {
            return None;
        }
        inbox.filled(count);
    }
    inbox.release(&shared.buffers);
    let keep = head.keep_alive;
    shared.scratch.put_response(head);
    Some(keep)
}
