//! Active health checks of the endpoints of a cluster. Each worker checks for itself.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ahash::AHashMap;
use bytes::Bytes;
use http::Request as Message;
use http::uri::Scheme;
use sluice_host::Timer;
use sluice_http1::{Method, parse_response};
use sluice_policy::Scheme as Spoken;
use sluice_policy::facts::RequestFacts;
use sluice_policy::upstream::{CheckOutcome, Checker, Due, Health};
use sluice_snapshot::{Cluster, HealthCheck, Probe, Protocol};

use crate::buffers::Inbox;
use crate::heads;
use crate::http2::body::Http2Body;
use crate::http2::upstream::Lease;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::target::Target;
use crate::upstream::connect;

/// The longest and the shortest pause between two looks at what is due, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;
const PAUSE_NS: u64 = 10_000_000;
/// What an answer to a gRPC check may be long, in bytes; a `HealthCheckResponse` has two and its frame five.
const ANSWER_LIMIT: usize = 1024;

/// One check of one endpoint.
type Watch = Rc<RefCell<Checker>>;

/// Starts checking the endpoints of a target, unless that is done already or there is nothing to check.
pub(crate) fn ensure(shared: &Rc<Shared>, target: &Rc<Target>) {
    if target.cluster().health_checks.is_empty() || target.checking.replace(true) {
        return;
    }
    let (shared, target) = (Rc::clone(shared), Rc::clone(target));
    shared.host.clone().spawn_in_turn(async move {
        run(&shared, &target).await;
        target.checking.set(false);
    });
}

async fn run(shared: &Rc<Shared>, target: &Rc<Target>) {
    let timer = Timer::new(&shared.host);
    let mut watches: AHashMap<(SocketAddr, usize), Watch> = AHashMap::new();
    loop {
        let cluster = target.cluster();
        if cluster.health_checks.is_empty() || shared.draining.get() || target.is_forgotten() {
            return;
        }
        let now = shared.host.now_ns();
        let addresses = target.addresses();
        watches.retain(|(address, n), _| addresses.contains(address) && *n < cluster.health_checks.len());
        let mut wake = now + LOOK_NS;
        for &address in &addresses {
            let all: Rc<[Watch]> = (cluster.health_checks.iter().enumerate())
                .map(|(n, check)| {
                    let fresh = || Rc::new(RefCell::new(Checker::new(&check.config, now, shared.random())));
                    Rc::clone(watches.entry((address, n)).or_insert_with(fresh))
                })
                .collect();
            for (n, check) in cluster.health_checks.iter().enumerate() {
                let mut watch = all[n].borrow_mut();
                // The check itself ends in time, so that nothing else is ever due.
                if watch.due(now) == Some(Due::Check) {
                    watch.begin(&check.config, now);
                    let check =
                        once(Rc::clone(shared), Rc::clone(target), Arc::clone(&cluster), address, n, Rc::clone(&all));
                    shared.host.spawn_in_turn(check);
                }
                // A check that ends early makes the next one due before its own time is over.
                wake = wake.min(watch.wake_ns()).min(now + check.config.interval_ns);
            }
        }
        timer.sleep_until(wake.max(now + PAUSE_NS)).await;
    }
}

/// Checks an endpoint once and tells the target what all checks of it say now.
async fn once(
    shared: Rc<Shared>,
    target: Rc<Target>,
    cluster: Arc<Cluster>,
    address: SocketAddr,
    n: usize,
    all: Rc<[Watch]>,
) {
    let Some(check) = cluster.health_checks.get(n) else { return };
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns().saturating_add(check.config.timeout_ns));
    let outcome = {
        let mut asking = pin!(ask(&shared, &cluster, address, check));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = asking.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            timer.poll_expired(context).map(|()| None)
        })
        .await
    };
    let now = shared.host.now_ns();
    let outcome = outcome.unwrap_or(CheckOutcome::Failed);
    if all[n].borrow_mut().finish(&check.config, outcome, now, shared.random()).is_some() {
        let healthy = all.iter().all(|watch| watch.borrow().health() == Health::Healthy);
        target.checked(address, healthy, now);
        target.report(&shared);
    }
}

/// What an endpoint says; `None` if it says nothing that can be understood.
async fn ask(
    shared: &Rc<Shared>,
    cluster: &Arc<Cluster>,
    address: SocketAddr,
    check: &HealthCheck,
) -> Option<CheckOutcome> {
    let stream = connect(shared, cluster, address, b"").await.ok()?;
    match &check.probe {
        Probe::Http { target, host, edits } => {
            let mut text = [b"GET ", &target[..], b" HTTP/1.1\r\nhost: "].concat();
            text.extend_from_slice(host.as_deref().unwrap_or_else(|| own_name(cluster)));
            text.extend_from_slice(b"\r\nuser-agent: sluice/health-check\r\n");
            edits.append_added(&mut text, &facts(target, address));
            text.extend_from_slice(b"connection: close\r\n\r\n");
            let status = match cluster.protocol {
                Protocol::Http1 => status(shared, &stream, &text).await?,
                Protocol::Http2 => {
                    let lease = Lease::alone(shared, stream, cluster.slot as usize).await.ok()?;
                    lease.start(message(cluster, text)?, true).await.ok()?;
                    lease.response().await.ok()?.0.status.as_u16()
                }
            };
            Some(check.config.judge(status))
        }
        Probe::Grpc { service, authority } => {
            let mut text = b"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: ".to_vec();
            text.extend_from_slice(authority.as_deref().unwrap_or_else(|| own_name(cluster)));
            text.extend_from_slice(b"\r\nte: trailers\r\ncontent-type: application/grpc\r\n\r\n");
            let lease = Lease::alone(shared, stream, cluster.slot as usize).await.ok()?;
            lease.start(message(cluster, text)?, false).await.ok()?;
            lease.sender.send(question(service), true).await.ok()?;
            let (parts, body) = lease.response().await.ok()?;
            let mut body = Http2Body::new(body);
            let mut answer = Vec::new();
            while let Some((data, _)) = body.data().await.ok()? {
                answer.extend_from_slice(&data);
                if answer.len() > ANSWER_LIMIT {
                    return None;
                }
            }
            let serving = parts.status == 200 && is_serving(&answer);
            Some(if serving { CheckOutcome::Passed } else { CheckOutcome::Refused })
        }
    }
}

fn own_name(cluster: &Cluster) -> &[u8] {
    cluster.host_name().unwrap_or(&cluster.name).as_bytes()
}

fn message(cluster: &Cluster, text: Vec<u8>) -> Option<Message<()>> {
    let scheme = if cluster.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    heads::request(&Bytes::from(text), scheme).ok()
}

/// Facts for the values of added headers: there is no client.
fn facts(target: &[u8], address: SocketAddr) -> RequestFacts<'_> {
    RequestFacts {
        method: b"GET",
        path: target,
        original_path: None,
        authority: b"",
        scheme: Spoken::Http,
        protocol: "HTTP/1.1",
        start_unix_ns: 0,
        client: address.ip(),
        client_port: address.port(),
        peer: address.ip(),
        request_id: b"",
        forwarded_for: None,
        headers: &(),
    }
}

/// Asks over HTTP/1 and reads the head of the answer.
async fn status(shared: &Shared, stream: &Stream, text: &[u8]) -> Option<u16> {
    stream.write_all(text).await.ok()?;
    let compiled = shared.compiled();
    let limits = &compiled.options.head_limits;
    let mut inbox = Inbox::default();
    let mut head = shared.scratch.response();
    loop {
        let space = inbox.space(&shared.buffers, limits.max_head_bytes);
        let count = poll_fn(|context| stream.poll_read(context, space)).await.ok()?;
        inbox.filled(count);
        match parse_response(inbox.bytes(), limits, Method::Get, &mut head).ok()? {
            Some(length) if head.status < 200 => inbox.consume(length),
            Some(_) => return Some(head.status),
            None if count == 0 => return None,
            None => {}
        }
    }
}

/// A framed `grpc.health.v1.HealthCheckRequest` with its one field, the service.
fn question(service: &str) -> Bytes {
    let name = service.as_bytes();
    let mut message = Vec::with_capacity(name.len() + 16);
    if !name.is_empty() {
        message.push(0x0a);
        let mut length = name.len();
        while length > 0x7f {
            message.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(name);
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    Bytes::from(framed)
}

/// A framed `grpc.health.v1.HealthCheckResponse` that says `SERVING`.
fn is_serving(answer: &[u8]) -> bool {
    answer == [0, 0, 0, 0, 2, 0x08, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_protobuf() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn only_serving_serves() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 8, 1]));
        assert!(!is_serving(&[0, 0, 0, 0, 2, 8, 2]));
        assert!(!is_serving(&[0, 0, 0, 0, 0]));
    }
}
