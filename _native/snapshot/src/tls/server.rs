//! The server side: which configuration and certificate a client gets.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::CertifiedKey;
use sluice_route::DomainMap;

use super::names::{Resolver, lower};
use super::{suites, trust, versions};
use crate::error::Findings;
use crate::model::{TlsTermination, TlsVersion};
use crate::store::Certificates;

/// The TLS side of a listener.
#[derive(Debug)]
pub struct ListenerTls {
    groups: Vec<Arc<ServerConfig>>,
    /// The same for HTTP/3; `None` where TLS 1.3 is not allowed (RFC 9001 section 4.2).
    quic: Vec<Option<Arc<ServerConfig>>>,
    /// First termination with the same certificate and rules about client certificates, for each server name.
    owners: DomainMap<usize>,
    /// Group of each server name; `None` for a termination that could not be built.
    names: DomainMap<Option<usize>>,
    /// Has no certificate: every handshake fails.
    refusing: Arc<ServerConfig>,
}

/// A termination that can be served.
struct Usable {
    key: Arc<CertifiedKey>,
    group: usize,
}

impl ListenerTls {
    /// The configuration for every client, when all terminations have the same settings.
    pub fn single(&self) -> Option<&Arc<ServerConfig>> {
        match self.groups.as_slice() {
            [] => Some(&self.refusing),
            [only] => Some(only),
            _ => None,
        }
    }

    /// The configuration for a server name, as read from the client hello.
    pub fn server_config(&self, sni: Option<&str>) -> &Arc<ServerConfig> {
        let group = self.names.get(&lower(sni)).copied().flatten();
        group.and_then(|group| self.groups.get(group)).unwrap_or(&self.refusing)
    }

    /// As [`ListenerTls::server_config`], by value; `None` for a name that is refused.
    pub fn config(&self, sni: Option<&str>) -> Option<Arc<ServerConfig>> {
        let group = self.names.get(&lower(sni)).copied().flatten();
        group.and_then(|group| self.groups.get(group)).cloned()
    }

    /// As [`ListenerTls::config`] for HTTP/3 (ALPN `h3`, RFC 9114 section 3.1). Requests that could be replayed are not
    /// taken.
    pub fn quic_config(&self, sni: Option<&str>) -> Option<Arc<ServerConfig>> {
        let group = self.names.get(&lower(sni)).copied().flatten();
        group.and_then(|group| self.quic.get(group)).cloned().flatten()
    }

    /// Which certificate and which rules about client certificates a server name is under; equal numbers, equal both.
    /// A request for a host under another number than its connection's name is misdirected (421; RFC 9110, section
    /// 15.5.20): otherwise the rules of a host could be walked around. Unknown names have no number.
    pub fn termination(&self, name: Option<&str>) -> Option<usize> {
        self.owners.get(&lower(name)).copied()
    }

    /// Builds the configurations of `terminations`; what cannot be built is reported and its names are refused.
    pub(crate) fn compile(
        terminations: &[TlsTermination],
        certificates: &Certificates,
        findings: &mut Findings,
    ) -> Option<Self> {
        let refusing = config(None, Arc::new(NoClientAuth), Resolver(DomainMap::default()), findings)?;
        let mut tls = Self {
            groups: Vec::new(),
            quic: Vec::new(),
            owners: DomainMap::default(),
            names: DomainMap::default(),
            refusing: Arc::new(refusing),
        };
        let mut settings: Vec<&TlsTermination> = Vec::new();
        let mut usable: Vec<Option<Usable>> = Vec::new();
        for (n, model) in terminations.iter().enumerate() {
            let found = certificates.key(&model.certificate).inspect_err(|message| {
                findings.add(format!("terminations[{n}].certificate"), message);
            });
            usable.push(found.ok().and_then(|key| {
                let verifier = verifier(model)
                    .inspect_err(|message| findings.add(format!("terminations[{n}].client_ca"), message))
                    .ok()?;
                // Checked here once, so that a group of usable terminations can always be built.
                config(Some((n, model)), verifier, Resolver(DomainMap::default()), findings)?;
                let group = settings.iter().position(|other| alike(other, model)).unwrap_or_else(|| {
                    settings.push(model);
                    settings.len() - 1
                });
                Some(Usable { key, group })
            }));
        }
        let pairs = terminations
            .iter()
            .zip(&usable)
            .enumerate()
            .flat_map(|(n, (model, usable))| model.server_names.iter().map(move |name| (n, name, usable)));
        let (names, errors) = DomainMap::compile(
            pairs.clone().map(|(_, name, usable)| (name, usable.as_ref().map(|usable| usable.group))),
        );
        for (index, error) in errors {
            let n = pairs.clone().nth(index).map_or(0, |(n, ..)| n);
            findings.add(format!("terminations[{n}].server_names"), error.to_string());
        }
        tls.names = names;
        let same = |a: &TlsTermination, b: &TlsTermination| {
            (&a.certificate, &a.client_ca, a.client_cert_required)
                == (&b.certificate, &b.client_ca, b.client_cert_required)
        };
        let owner =
            |model: &TlsTermination| terminations.iter().position(|other| same(other, model)).unwrap_or_default();
        tls.owners = DomainMap::compile(
            terminations.iter().flat_map(|model| model.server_names.iter().map(move |name| (name, owner(model)))),
        )
        .0;
        for (group, model) in settings.iter().enumerate() {
            let keys = pairs.clone().map(|(_, name, usable)| {
                let own = usable.as_ref().filter(|usable| usable.group == group);
                (name, own.map(|usable| Arc::clone(&usable.key)))
            });
            let resolver = Resolver(DomainMap::compile(keys).0);
            let built = verifier(model)
                .ok()
                .and_then(|verifier| config(Some((0, model)), verifier, resolver, &mut Findings::default()));
            tls.quic.push(built.as_ref().filter(|_| model.max_version == TlsVersion::V13).map(for_quic));
            tls.groups.push(built.map_or_else(|| Arc::clone(&tls.refusing), Arc::new));
        }
        Some(tls)
    }
}

/// The settings of a configuration for another protocol than it was made for; certificates and tickets are shared.
fn for_quic(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// Same settings but for names and certificate.
fn alike(a: &TlsTermination, b: &TlsTermination) -> bool {
    (&a.alpn, a.min_version, a.max_version, &a.cipher_suites, &a.client_ca, a.client_cert_required)
        == (&b.alpn, b.min_version, b.max_version, &b.cipher_suites, &b.client_ca, b.client_cert_required)
}

fn verifier(model: &TlsTermination) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let Some(ca) = &model.client_ca else {
        return if model.client_cert_required {
            Err("client certificates are required, but no authority is given".to_owned())
        } else {
            Ok(Arc::new(NoClientAuth))
        };
    };
    let builder = WebPkiClientVerifier::builder_with_provider(trust::bundle(ca)?, Arc::clone(super::provider()));
    let builder = if model.client_cert_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map(|verifier| verifier as _).map_err(|error| error.to_string())
}

/// A configuration with the settings of a termination, or with none for the one that refuses.
fn config(
    settings: Option<(usize, &TlsTermination)>,
    verifier: Arc<dyn ClientCertVerifier>,
    resolver: Resolver,
    findings: &mut Findings,
) -> Option<ServerConfig> {
    let at = |field: &str| settings.map_or_else(|| "tls".to_owned(), |(n, _)| format!("terminations[{n}].{field}"));
    let model = settings.map(|(_, model)| model);
    let (provider, unknown) = suites::provider(model.map_or(&[], |model| &model.cipher_suites));
    for name in unknown {
        findings.add(at("cipher_suites"), format!("{name:?} is not a suite this gateway has"));
    }
    let built = model.map_or(Ok(rustls::ALL_VERSIONS), |model| versions(model.min_version, model.max_version));
    let built = built.and_then(|versions| {
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
        builder.map_err(|error| error.to_string())
    });
    let builder = built.inspect_err(|message| findings.add(at("min_version"), message)).ok()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols =
        model.map_or(&[][..], |model| &model.alpn).iter().map(|name| name.as_bytes().to_vec()).collect();
    // Without tickets clients make full handshakes: slower, not wrong.
    if let Ok(ticketer) = Ticketer::new() {
        config.ticketer = ticketer;
    }
    Some(config)
}
