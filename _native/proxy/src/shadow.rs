//! Mirrored requests: sent on their own, their answers read and dropped.

use std::rc::Rc;
use std::sync::Arc;

use sluice_http1::{Framing, ResponseFraming, parse_response};
use sluice_policy::headers::HeaderEdits;
use sluice_snapshot::{Compiled, HostRewrite, Route, Shadow};

use crate::buffers::{Inbox, LARGE};
use crate::relay::Source;
use crate::request::{Request, joined};
use crate::request_head::{BodyHeader, UpstreamHead};
use crate::shared::Shared;
use crate::upstream::acquire;

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

fn message(request: &Request<'_>, route: &Route, shadow: &Shadow, body: usize) -> Option<Vec<u8>> {
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
    }
    .write(&mut out);
    out.extend_from_slice(request.bytes.get(request.head_len..request.head_len + body).unwrap_or_default());
    Some(out)
}

async fn send(
    shared: &Rc<Shared>,
    compiled: &Arc<Compiled>,
    cluster: sluice_snapshot::ClusterId,
    message: &[u8],
    method: sluice_http1::Method,
) -> Option<()> {
    let cluster = compiled.cluster(cluster)?;
    let mut upstream = acquire(shared, cluster, None, false).await.ok()?;
    let link = upstream.link.take()?;
    let stream = &link.stream;
    stream.write_all(message).await.ok()?;
    let mut inbox = Inbox::default();
    let mut head = shared.scratch.response();
    let limits = &compiled.options.head_limits;
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
    let mut source = match head.framing {
        ResponseFraming::None => Source::Empty,
        ResponseFraming::Length(length) => Source::Length(length),
        ResponseFraming::Chunked => Source::Chunked(Box::default()),
        ResponseFraming::UntilClose => Source::UntilClose,
    };
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
    if keep {
        upstream.link = Some(link);
        upstream.keep();
    }
    Some(())
}
