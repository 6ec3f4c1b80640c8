//! A compiled listener.

use std::sync::Arc;

use sluice_policy::{Security, TrustPolicy};
use sluice_route::DomainMap;

use crate::error::Findings;
use crate::host::VirtualHost;
use crate::model::{self, ListenerProtocol, Origin};
use crate::store::Store;
use crate::tcp::TcpRoutes;
use crate::tls::ListenerTls;
use crate::udp::UdpRoute;

/// A port with everything that is served on it.
#[derive(Debug)]
pub struct Listener {
    /// Unique.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
    /// Address to bind.
    pub address: Box<str>,
    /// Port to bind.
    pub port: u16,
    /// What is believed of a request: which ones count as secure, how many hops before the gateway are trusted.
    pub trust: TrustPolicy,
    /// HTTP begins with the first byte: no PROXY header, no TLS, no TCP route.
    pub plain: bool,
    /// Expects a PROXY header.
    pub proxy_protocol: bool,
    /// Expects TLS. With `encrypted` and without `tls` every connection is closed.
    pub encrypted: bool,
    /// TLS; `None` for cleartext.
    pub tls: Option<Arc<ListenerTls>>,
    /// What is spoken.
    pub protocol: ListenerProtocol,
    /// HTTP/2 is taken: by ALPN on TLS, by prior knowledge on cleartext.
    pub http2: bool,
    /// Streams of one HTTP/2 connection; above zero.
    pub http2_max_concurrent_streams: u32,
    /// HTTP/3 is served, or is to be advertised: see [`Listener::advertises_http3`].
    pub http3: bool,
    /// Connections that are forwarded; they go before what is served.
    pub tcp: Arc<TcpRoutes>,
    /// Most open connections, in all workers.
    pub max_connections: Option<u32>,
    /// Most open connections of one client address, in all workers and over all listeners.
    pub max_connections_per_address: Option<u32>,
    /// Where datagrams are forwarded to; a UDP listener without it and without HTTP/3 drops them.
    pub udp: Option<Arc<UdpRoute>>,
    /// What is served, in the order declared.
    pub virtual_hosts: Box<[Arc<VirtualHost>]>,
    /// Row in shared memory.
    pub slot: u32,
    /// Domain to position in `virtual_hosts`.
    domains: Arc<DomainMap<usize>>,
    domain_findings: Findings,
    tls_findings: Findings,
}

impl Listener {
    /// The virtual host for a name (lower case, no port); that of `*` when no other domain fits.
    pub fn virtual_host(&self, host: &[u8]) -> Option<&Arc<VirtualHost>> {
        self.virtual_hosts.get(*self.domains.get(host)?)
    }

    /// Whether answers say that HTTP/3 is served on the same port (`Alt-Svc`, RFC 7838).
    pub fn advertises_http3(&self) -> bool {
        self.http3 && self.protocol == ListenerProtocol::Http
    }

    /// Which rules about client certificates a server name is under, see [`ListenerTls::termination`].
    pub fn termination_of(&self, name: Option<&str>) -> Option<usize> {
        self.tls.as_ref()?.termination(name)
    }

    /// Compiles; from `last` are taken the parts that cannot have changed (`keep_tls`: no certificate has).
    pub(crate) fn compile(
        model: &model::Listener,
        slot: u32,
        store: &Store,
        last: Option<(&model::Listener, &Self)>,
        keep_tls: bool,
        findings: &mut Findings,
    ) -> Self {
        let mut virtual_hosts = Vec::with_capacity(model.virtual_hosts.len());
        for (n, name) in model.virtual_hosts.iter().enumerate() {
            match store.hosts.get(name.as_str()) {
                Some(section) => virtual_hosts.push(Arc::clone(&section.built)),
                None => findings.add(format!("virtual_hosts[{n}]"), format!("there is no virtual host {name:?}")),
            }
        }
        let same = |last: &&Self| {
            let alike = |(a, b): (&Arc<VirtualHost>, &Arc<VirtualHost>)| {
                Arc::ptr_eq(a, b) || (a.name == b.name && a.domains == b.domains)
            };
            last.virtual_hosts.len() == virtual_hosts.len() && last.virtual_hosts.iter().zip(&virtual_hosts).all(alike)
        };
        let (domains, domain_findings) = last
            .map(|(_, last)| last)
            .filter(same)
            .map_or_else(|| domains(&virtual_hosts), |last| (Arc::clone(&last.domains), last.domain_findings.clone()));
        let mut tls_findings = Findings::default();
        let kept = last
            .filter(|(old, _)| keep_tls && old.tls == model.tls && old.terminations == model.terminations)
            .map(|(_, last)| (last.tls.clone(), last.tls_findings.clone()));
        let (tls, tls_findings) = kept.unwrap_or_else(|| {
            let tls =
                model.tls.then(|| ListenerTls::compile(&model.terminations, &store.certificates, &mut tls_findings));
            (tls.flatten().map(Arc::new), tls_findings)
        });
        let tcp = last
            .filter(|(old, _)| {
                keep_tls
                    && (old.tls, &old.terminations, &old.tcp_routes)
                        == (model.tls, &model.terminations, &model.tcp_routes)
            })
            .map_or_else(
                || Arc::new(TcpRoutes::compile(model, &store.certificates)),
                |(_, last)| Arc::clone(&last.tcp),
            );
        let streams = model.http2_max_concurrent_streams;
        if streams == Some(0) {
            findings.add("http2_max_concurrent_streams", "must be above zero: that of the options is used");
        }
        let streams = streams.filter(|&streams| streams > 0);
        findings.0.extend(tcp.findings().0.iter().cloned());
        findings.0.extend(domain_findings.0.iter().chain(&tls_findings.0).cloned());
        Self {
            name: Arc::from(model.name.as_str()),
            origin: model.origin.clone(),
            address: Box::from(model.address.as_str()),
            port: model.port,
            trust: TrustPolicy {
                security: match model.security {
                    model::Security::Xfp => Security::Xfp,
                    model::Security::Secure => Security::Secure,
                    model::Security::Insecure => Security::Insecure,
                },
                // The listener says how many hops there are, or leaves it to the options.
                trusted_hops: model.trusted_hops.max(store.options.built.trust.trusted_hops),
                ..store.options.built.trust
            },
            plain: model.protocol == ListenerProtocol::Http && !model.tls && !model.proxy_protocol && tcp.is_empty(),
            proxy_protocol: model.proxy_protocol,
            encrypted: model.tls,
            tls,
            protocol: model.protocol,
            http2: model.http2,
            http2_max_concurrent_streams: streams.unwrap_or(store.options.built.http2_max_concurrent_streams),
            http3: model.http3,
            tcp,
            max_connections: model.max_connections,
            max_connections_per_address: model.max_connections_per_address,
            udp: UdpRoute::compile(model, findings).map(Arc::new),
            virtual_hosts: virtual_hosts.into_boxed_slice(),
            slot,
            domains,
            domain_findings,
            tls_findings,
        }
    }
}

fn domains(hosts: &[Arc<VirtualHost>]) -> (Arc<DomainMap<usize>>, Findings) {
    let mut findings = Findings::default();
    let pairs = hosts.iter().enumerate().flat_map(|(n, host)| host.domains.iter().map(move |domain| (domain, n)));
    let (map, errors) = DomainMap::compile(pairs.clone());
    for (index, error) in errors {
        let host = pairs.clone().nth(index).and_then(|(_, n)| hosts.get(n));
        let name = host.map_or("", |host| &host.name);
        findings.add("virtual_hosts", format!("virtual host {name:?}: {error}"));
    }
    (Arc::new(map), findings)
}
