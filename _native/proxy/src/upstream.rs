//! Getting a connection to an endpoint of a cluster.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sluice_host::{TcpIo, Timer};
use sluice_policy::stats::Field;
use sluice_policy::upstream::{Observation, Resource};
use sluice_snapshot::{Cluster, Protocol};
use tokio_rustls::TlsConnector;

use crate::checks;
use crate::error::ProxyError;
use crate::http2::upstream::{Lease, lease};
use crate::permit::{Limited, Permit};
use crate::pool::{ClusterKey, Link};
use crate::resolver::Name;
use crate::rules::nanos;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::target::Chosen;

/// How often a request that waits for a connection looks whether one may be made, in nanoseconds.
const PENDING_NS: u64 = 10_000_000;

/// What a request is sent on.
pub(crate) enum Wire {
    /// A connection of its own for now.
    Http1(Link),
    /// A stream of a shared connection.
    Http2(Lease),
}

/// What is asked of a cluster for one attempt.
pub(crate) struct Ask<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    /// Version of the configuration that `cluster` belongs to.
    pub(crate) version: u64,
    /// What hashing balancers choose by.
    pub(crate) key: Option<u64>,
    /// Endpoints that failed this request before.
    pub(crate) avoid: &'a [SocketAddr],
    /// Make a connection instead of reusing one of HTTP/1.
    pub(crate) fresh: bool,
    pub(crate) limited: Option<Limited>,
    /// Sent first on a new connection, before TLS.
    pub(crate) preface: &'a [u8],
}

/// A connection in use. Dropping it closes it (or cancels the stream); [`Upstream::keep`] puts it back.
pub(crate) struct Upstream {
    shared: Rc<Shared>,
    pub(crate) chosen: Chosen,
    /// It has carried a request before.
    pub(crate) reused: bool,
    key: ClusterKey,
    slot: usize,
    idle_timeout_ns: u64,
    lifetime_ns: u64,
    _permit: Option<Permit>,
}

pub(crate) fn key_of(cluster: &Cluster) -> ClusterKey {
    ClusterKey { id: cluster.id, generation: cluster.generation }
}

/// Longest idle time of a connection to the cluster, in nanoseconds.
pub(crate) fn idle_ns(cluster: &Cluster) -> u64 {
    match nanos(cluster.idle_timeout) {
        0 => u64::MAX,
        timeout => timeout,
    }
}

impl Upstream {
    /// Gives the connection back for the next request, unless it is too old or the gateway is draining.
    pub(crate) fn keep(&self, wire: Wire) {
        let Wire::Http1(link) = wire else { return };
        let now = self.shared.host.now_ns();
        let young = self.lifetime_ns == 0 || now.saturating_sub(link.created_ns) < self.lifetime_ns;
        if young && !self.shared.draining.get() && link.stream.is_quiet() {
            self.shared.pools.put(self.key, self.chosen.address, link, now, self.idle_timeout_ns);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(row) = self.shared.cluster_row(self.slot) {
            row.sub(Field::InFlight, 1);
        }
    }
}

/// The endpoint for an attempt.
pub(crate) async fn choose(shared: &Rc<Shared>, ask: &Ask<'_>) -> Result<Chosen, ProxyError> {
    let cluster = ask.cluster;
    let target = shared.targets.of(cluster, ask.version, shared.host.now_ns(), || shared.random());
    if !cluster.health_checks.is_empty() {
        checks::ensure(shared, &target);
    }
    if let Some(dns) = &cluster.dns {
        let name = Name {
            host: dns.host.to_string(),
            port: dns.port,
            ipv4: dns.ipv4,
            ipv6: dns.ipv6,
            logical: dns.logical,
            respect_ttl: dns.respect_ttl,
        };
        let resolving = Box::pin(shared.resolver.resolve(&name, shared.host.now_ns()));
        let addresses = resolving.await.map_err(ProxyError::Resolve)?;
        target.resolved(&addresses, shared.host.now_ns());
    }
    let now = shared.host.now_ns();
    shared.with_rng(|rng| target.choose(ask.key, ask.avoid, now, rng)).ok_or(ProxyError::NoEndpoint)
}

/// Chooses an endpoint and connects, or reuses a connection.
pub(crate) async fn acquire(shared: &Rc<Shared>, ask: &Ask<'_>) -> Result<(Upstream, Wire), ProxyError> {
    let cluster = ask.cluster;
    if let Some(reason) = &cluster.broken {
        return Err(ProxyError::UpstreamTls(std::io::Error::other(reason.clone())));
    }
    let permit = match &ask.limited {
        None => None,
        Some(limited) => Some(limited.take(shared, Resource::Requests).ok_or(ProxyError::Overflow)?),
    };
    let chosen = choose(shared, ask).await?;
    let (key, address, slot) = (key_of(cluster), chosen.address, cluster.slot as usize);
    let mut upstream = Upstream {
        shared: Rc::clone(shared),
        chosen,
        reused: false,
        key,
        slot,
        idle_timeout_ns: idle_ns(cluster),
        lifetime_ns: cluster.max_connection_lifetime.map_or(0, nanos),
        _permit: permit,
    };
    if let Some(row) = shared.cluster_row(slot) {
        row.add(Field::InFlight, 1);
    }
    if cluster.protocol == Protocol::Http2 {
        let connecting = connect_counted(shared, ask, &upstream.chosen);
        let leasing = lease(shared, (key, address), slot, upstream.lifetime_ns, connecting);
        let (lease, reused) = Box::pin(leasing).await?;
        upstream.reused = reused;
        return Ok((upstream, Wire::Http2(lease)));
    }
    if !ask.fresh
        && let Some(idle) = shared.pools.take(key, address, shared.host.now_ns())
    {
        upstream.reused = true;
        return Ok((upstream, Wire::Http1(idle)));
    }
    let (stream, permit) = Box::pin(connect_counted(shared, ask, &upstream.chosen)).await?;
    let link = Link::new(shared, slot, stream, permit);
    Ok((upstream, Wire::Http1(link)))
}

/// Connects once the circuit breaker allows another connection. How long to wait for that is up to the caller.
pub(crate) async fn connect_counted(
    shared: &Rc<Shared>,
    ask: &Ask<'_>,
    chosen: &Chosen,
) -> Result<(Stream, Option<Permit>), ProxyError> {
    connect_before(shared, ask, chosen, u64::MAX).await
}

/// As [`connect_counted`], with [`ProxyError::Overflow`] if the circuit breaker allows no connection before `until_ns`.
pub(crate) async fn connect_before(
    shared: &Rc<Shared>,
    ask: &Ask<'_>,
    chosen: &Chosen,
    until_ns: u64,
) -> Result<(Stream, Option<Permit>), ProxyError> {
    let permit = match &ask.limited {
        None => None,
        Some(limited) => Some(connection_permit(shared, limited, until_ns).await?),
    };
    let began = shared.host.now_ns();
    let connected = connect(shared, ask.cluster, chosen.address, ask.preface).await;
    if connected.is_err() {
        if let Some(row) = shared.cluster_row(ask.cluster.slot as usize) {
            row.add(Field::ConnectionsFailed, 1);
        }
        let now = shared.host.now_ns();
        chosen.observe(Observation::LocalFailure, now.saturating_sub(began), now);
    }
    connected.map(|stream| (stream, permit))
}

/// Waits for its turn to make a connection. Other workers free theirs without telling, so it looks from time to time.
async fn connection_permit(shared: &Rc<Shared>, limited: &Limited, until_ns: u64) -> Result<Permit, ProxyError> {
    if let Some(permit) = limited.take(shared, Resource::Connections) {
        return Ok(permit);
    }
    let _pending = limited.take(shared, Resource::Pending).ok_or(ProxyError::Overflow)?;
    let timer = Timer::new(&shared.host);
    loop {
        let now = shared.host.now_ns();
        if now >= until_ns {
            return Err(ProxyError::Overflow);
        }
        timer.sleep_until(now + PENDING_NS).await;
        if let Some(permit) = limited.retake(shared, Resource::Connections) {
            return Ok(permit);
        }
    }
}

/// Connects within the cluster's connect timeout, TLS included, which comes after `preface`.
pub(crate) async fn connect(
    shared: &Rc<Shared>,
    cluster: &Cluster,
    address: SocketAddr,
    preface: &[u8],
) -> Result<Stream, ProxyError> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns().saturating_add(nanos(cluster.connect_timeout)));
    let mut work = std::pin::pin!(async {
        let tcp = TcpIo::connect(&shared.host, address).map_err(ProxyError::Connect)?;
        tcp.connected().await.map_err(ProxyError::Connect)?;
        if let Some(keepalive) = &cluster.tcp_keepalive {
            tcp.set_keepalive(keepalive.idle, keepalive.interval, keepalive.probes).map_err(ProxyError::Connect)?;
        }
        let tcp = if preface.is_empty() { tcp } else { Box::pin(send_first(tcp, preface)).await? };
        match &cluster.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(tls) => TlsConnector::from(std::sync::Arc::clone(&tls.config))
                .connect(tls.server_name.clone(), tcp)
                .await
                .map(|stream| Stream::tls(tokio_rustls::TlsStream::from(stream)))
                .map_err(ProxyError::UpstreamTls),
        }
    });
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(done) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(done);
        }
        timer.poll_expired(context).map(|()| Err(ProxyError::ConnectTimeout))
    })
    .await
}

async fn send_first(tcp: TcpIo, preface: &[u8]) -> Result<TcpIo, ProxyError> {
    let mut rest = preface;
    while !rest.is_empty() {
        let count = std::future::poll_fn(|context| tcp.poll_write(context, rest)).await.map_err(ProxyError::Connect)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(tcp)
}
