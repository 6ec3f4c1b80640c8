//! A compiled cluster.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sluice_policy::upstream::{Endpoint, OutlierConfig};

use crate::error::Findings;
use crate::health::{self, HealthCheck};
use crate::ids::ClusterId;
use crate::model::{self, EndpointState, Origin};
use crate::store::Certificates;
use crate::tls;
use crate::traffic::{Balancing, CircuitBreakers, Protocol, TcpKeepalive};

/// A name to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name without trailing dot.
    pub host: Arc<str>,
    /// Port of every address.
    pub port: u16,
    /// Ask for A.
    pub ipv4: bool,
    /// Ask for AAAA.
    pub ipv6: bool,
    /// Ask again when the answer's TTL is over.
    pub respect_ttl: bool,
    /// Only the first address is used, and connections stay when the answer changes.
    pub logical: bool,
}

/// TLS towards an upstream.
#[derive(Clone, Debug)]
pub struct ClusterTls {
    /// Ready to connect.
    pub config: Arc<ClientConfig>,
    /// Name sent and verified.
    pub server_name: ServerName<'static>,
}

/// Endpoints that serve the same thing.
#[derive(Debug)]
pub struct Cluster {
    /// Number of the name.
    pub id: ClusterId,
    /// Unique.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
    /// Addresses in use with relative weights above zero: those that are ready or, if none is, those that shut down.
    pub endpoints: Box<[(SocketAddr, u32)]>,
    /// Zones of `endpoints`, in the same order; empty where unknown.
    pub zones: Box<[Arc<str>]>,
    /// No endpoint is ready, `endpoints` are shutting down.
    pub draining: bool,
    /// Name to resolve instead of `endpoints`.
    pub dns: Option<Dns>,
    /// TLS; `None` for cleartext.
    pub tls: Option<ClusterTls>,
    /// Why no connection may be made (TLS that cannot be built must not become cleartext); answers are 503.
    pub broken: Option<String>,
    /// What is spoken; HTTP/2 by prior knowledge.
    pub protocol: Protocol,
    /// How an endpoint is chosen; `None` for the gateway's own choice.
    pub balancing: Option<Balancing>,
    /// Circuit breakers.
    pub breakers: CircuitBreakers,
    /// Active checks; all must hold.
    pub health_checks: Box<[HealthCheck]>,
    /// Passive checks.
    pub outlier: Option<Box<OutlierConfig>>,
    /// Keep-alive probes on connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Time for connecting, TLS included.
    pub connect_timeout: Duration,
    /// Longest idle time in a pool; zero is off.
    pub idle_timeout: Duration,
    /// Greatest age of a connection.
    pub max_connection_lifetime: Option<Duration>,
    /// Name in statistics.
    pub stats_name: Arc<str>,
    /// Row in shared memory.
    pub slot: u32,
    /// Digest of name, protocol, DNS and TLS: equal means that open connections to endpoints that are still there may be
    /// used on. With `id` it is the key of a pool; unlike `id` it is comparable between snapshots that do not descend from each
    /// other.
    pub generation: u64,
}

impl Cluster {
    /// The name of the target, for `HostRewrite::Upstream`: what is resolved, or else the name TLS verifies.
    pub fn host_name(&self) -> Option<&str> {
        match (&self.dns, &self.tls) {
            (Some(dns), _) => Some(&dns.host),
            (None, Some(ClusterTls { server_name: ServerName::DnsName(name), .. })) => Some(name.as_ref()),
            _ => None,
        }
    }

    /// The endpoints in use, as a balancer takes them.
    pub fn members(&self) -> impl Iterator<Item = Endpoint> {
        self.endpoints.iter().zip(&self.zones).map(|(&(address, weight), zone)| Endpoint {
            address,
            weight,
            zone: (!zone.is_empty()).then(|| Arc::clone(zone)),
        })
    }

    /// Compiles; bad endpoints are left out, bad TLS breaks the cluster, and both are reported.
    pub(crate) fn compile(
        cluster: &model::Cluster,
        (id, name): (ClusterId, Arc<str>),
        slot: u32,
        certificates: &Certificates,
        findings: &mut Findings,
    ) -> Self {
        let InUse { addresses: endpoints, zones, draining } = in_use(&cluster.endpoints, findings);
        let mut broken = None;
        let tls = cluster.tls.as_ref().and_then(|settings| {
            tls::client::compile(settings, certificates)
                .inspect_err(|(path, message)| {
                    findings.add(format!("tls.{path}"), message);
                    broken = Some(format!("tls.{path}: {message}"));
                })
                .ok()
        });
        let mut hasher = DefaultHasher::new();
        (&cluster.name, cluster.protocol, &cluster.dns, &cluster.tls).hash(&mut hasher);
        if let Some(model) = cluster.tls.as_ref().and_then(|tls| certificates.model(tls.certificate.as_deref()?)) {
            (&model.chain, &model.private_key).hash(&mut hasher);
        }
        Self {
            id,
            origin: cluster.origin.clone(),
            endpoints: endpoints.into_boxed_slice(),
            zones,
            draining,
            dns: cluster.dns.as_ref().map(|dns| Dns {
                host: Arc::from(dns.host.trim_end_matches('.')),
                port: dns.port,
                ipv4: dns.ipv4,
                ipv6: dns.ipv6,
                respect_ttl: dns.respect_ttl,
                logical: dns.logical,
            }),
            tls,
            protocol: cluster.protocol,
            broken,
            balancing: cluster.balancer.as_ref().map(|balancer| Balancing::compile(balancer, findings)),
            breakers: CircuitBreakers::compile(&cluster.breakers, findings),
            health_checks: HealthCheck::all(&cluster.health_checks, findings),
            outlier: cluster.outlier.as_ref().map(|outlier| Box::new(health::outlier(outlier, findings))),
            tcp_keepalive: cluster.tcp_keepalive.as_ref().map(|keepalive| TcpKeepalive::compile(keepalive, findings)),
            connect_timeout: Duration::from_millis(cluster.connect_timeout_ms),
            idle_timeout: Duration::from_millis(cluster.idle_timeout_ms),
            max_connection_lifetime: cluster.max_connection_lifetime_ms.map(Duration::from_millis),
            stats_name: if cluster.stats_name.is_empty() {
                Arc::clone(&name)
            } else {
                Arc::from(cluster.stats_name.as_str())
            },
            name,
            slot,
            generation: hasher.finish(),
        }
    }
}

/// The endpoints in use.
struct InUse {
    addresses: Vec<(SocketAddr, u32)>,
    zones: Box<[Arc<str>]>,
    draining: bool,
}

/// Chooses the endpoints in use; bad addresses are reported and left out.
fn in_use(models: &[model::Endpoint], findings: &mut Findings) -> InUse {
    let mut all = Vec::with_capacity(models.len());
    for (n, endpoint) in models.iter().enumerate() {
        match endpoint.address.parse::<IpAddr>() {
            Ok(ip) if endpoint.weight > 0 => all.push((SocketAddr::new(ip, endpoint.port), endpoint)),
            Ok(_) => {}
            Err(_) => {
                findings.add(format!("endpoints[{n}].address"), format!("{:?} is not an IP address", endpoint.address));
            }
        }
    }
    let draining = !all.is_empty() && all.iter().all(|(_, endpoint)| endpoint.state == EndpointState::Terminating);
    all.retain(|(_, endpoint)| draining || endpoint.state == EndpointState::Ready);
    let zones = all.iter().map(|(_, endpoint)| Arc::from(endpoint.zone.as_str())).collect();
    let addresses = all.into_iter().map(|(address, endpoint)| (address, endpoint.weight)).collect();
    InUse { addresses, zones, draining }
}
