//! A compiled cluster.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::error::Findings;
use crate::ids::ClusterId;
use crate::model::{self, Origin, Protocol};
use crate::store::Certificates;
use crate::tls;

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
    /// Addresses with relative weights above zero.
    pub endpoints: Box<[(SocketAddr, u32)]>,
    /// Name to resolve instead of `endpoints`.
    pub dns: Option<Dns>,
    /// TLS; `None` for cleartext.
    pub tls: Option<ClusterTls>,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// Why no connection may be made (TLS that cannot be built must not become cleartext); answers are 503.
    pub broken: Option<String>,
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
    /// Digest of name, endpoints, DNS and TLS: equal means that open connections may be used on. With `name` it is the
    /// key of a pool; unlike `id` it is comparable between snapshots that do not descend from each other.
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

    /// Compiles; bad endpoints are left out, bad TLS breaks the cluster, and both are reported.
    pub(crate) fn compile(
        cluster: &model::Cluster,
        (id, name): (ClusterId, Arc<str>),
        slot: u32,
        certificates: &Certificates,
        findings: &mut Findings,
    ) -> Self {
        let mut endpoints = Vec::with_capacity(cluster.endpoints.len());
        for (n, endpoint) in cluster.endpoints.iter().enumerate() {
            match endpoint.address.parse::<IpAddr>() {
                Ok(ip) if endpoint.weight > 0 => endpoints.push((SocketAddr::new(ip, endpoint.port), endpoint.weight)),
                Ok(_) => {}
                Err(_) => findings
                    .add(format!("endpoints[{n}].address"), format!("{:?} is not an IP address", endpoint.address)),
            }
        }
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
        (&cluster.name, &cluster.endpoints, &cluster.dns, &cluster.tls, cluster.protocol).hash(&mut hasher);
        if let Some(model) = cluster.tls.as_ref().and_then(|tls| certificates.model(tls.certificate.as_deref()?)) {
            (&model.chain, &model.private_key).hash(&mut hasher);
        }
        Self {
            id,
            origin: cluster.origin.clone(),
            endpoints: endpoints.into_boxed_slice(),
            dns: cluster.dns.as_ref().map(|dns| Dns {
                host: Arc::from(dns.host.trim_end_matches('.')),
                port: dns.port,
                ipv4: dns.ipv4,
                ipv6: dns.ipv6,
            }),
            tls,
            protocol: cluster.protocol,
            broken,
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
