//! The upstream's end of a TCP route: choosing an endpoint and connecting to it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use sluice_policy::stats::Field;
use sluice_policy::upstream::{Observation, hash};
use sluice_snapshot::{Balancing, Cluster, Priority, TcpRoute};

use crate::error::ProxyError;
use crate::ledger::Ledger;
use crate::permit::Limited;
use crate::pool::Link;
use crate::proxy_protocol::{self, Ends};
use crate::rules::{self, nanos};
use crate::stream::Stream;
use crate::target::Chosen;
use crate::upstream::{Ask, choose, connect_before};

/// Endpoints that are tried for one connection, each once.
const ENDPOINTS: usize = 3;

/// A connection to an endpoint, which counts for the balancer as long as it lives.
pub(super) struct Reached {
    pub(super) link: Link,
    _chosen: Chosen,
}

/// Connects to an endpoint of the route; fails with Envoy's response flag.
pub(super) async fn reach(
    ledger: &Ledger,
    route: &TcpRoute,
    client: &Stream,
    destination: Option<SocketAddr>,
) -> Result<Reached, &'static str> {
    let shared = &ledger.shared;
    let compiled = shared.compiled();
    ledger.version.set(compiled.version);
    let choice = route.choose(shared.with_rng(sluice_policy::Rng::unit)).ok_or("NR")?;
    let cluster = compiled.cluster_named(&choice.cluster).ok_or("NC")?;
    ledger.cluster.replace(Some((Arc::clone(&cluster.name), cluster.slot as usize)));
    if cluster.broken.is_some() {
        return Err("UF");
    }
    let mut preface = Vec::new();
    if let (Some(version), Some(destination)) = (route.proxy_protocol, destination) {
        proxy_protocol::write(version, Ends { source: ledger.peer, destination }, &mut preface);
    }
    let connecting = pin!(attempts(ledger, cluster, compiled.version, &preface));
    while_present(client, connecting).await.unwrap_or(Err(ProxyError::ClientGone)).map_err(|error| flag(&error))
}

/// Envoy's flags: those of HTTP, and no further attempt after the last endpoint.
fn flag(error: &ProxyError) -> &'static str {
    match error {
        ProxyError::ClientGone => "DC",
        ProxyError::Connect(_) | ProxyError::ConnectTimeout | ProxyError::UpstreamTls(_) => "UF,URX",
        other => other.answer().1,
    }
}

/// Runs `work` unless the client goes away for good.
async fn while_present<R>(client: &Stream, mut work: std::pin::Pin<&mut impl Future<Output = R>>) -> Option<R> {
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if client.is_hung_up() {
            return Poll::Ready(None);
        }
        client.watch_peer(context);
        Poll::Pending
    })
    .await
}

async fn attempts(
    ledger: &Ledger,
    cluster: &Arc<Cluster>,
    version: u64,
    preface: &[u8],
) -> Result<Reached, ProxyError> {
    let shared = &ledger.shared;
    let slot = cluster.slot as usize;
    let limits = rules::limits(cluster, Priority::Default);
    let limited = limits.map(|limits| Limited { slot, priority: Priority::Default, limits });
    let hashes = cluster.balancing.as_ref().is_some_and(Balancing::hashes);
    let key = hashes.then(|| hash::address_key(ledger.peer.ip()));
    let mut failed: Vec<SocketAddr> = Vec::new();
    let mut last = ProxyError::NoEndpoint;
    while failed.len() < ENDPOINTS {
        let ask = Ask { cluster, version, key, avoid: &failed, fresh: true, limited, preface };
        let chosen = choose(shared, &ask).await?;
        if failed.contains(&chosen.address) {
            break;
        }
        if !failed.is_empty()
            && let Some(row) = shared.cluster_row(slot)
        {
            row.add(Field::Retries, 1);
        }
        ledger.upstream.set(Some(chosen.address));
        let began = shared.host.now_ns();
        // Unlike a request a connection has no timeout of its own that would end the wait for the circuit breaker.
        let until = began.saturating_add(nanos(cluster.connect_timeout));
        match connect_before(shared, &ask, &chosen, until).await {
            Ok((stream, permit)) => {
                let now = shared.host.now_ns();
                // What an answered request is for HTTP (Envoy counts a connection as a success, too).
                chosen.observe(Observation::Status(200), now.saturating_sub(began), now);
                return Ok(Reached { link: Link::new(shared, slot, stream, permit), _chosen: chosen });
            }
            Err(error @ (ProxyError::Connect(_) | ProxyError::ConnectTimeout | ProxyError::UpstreamTls(_))) => {
                last = error;
            }
            Err(error) => return Err(error),
        }
        failed.push(chosen.address);
    }
    Err(last)
}
