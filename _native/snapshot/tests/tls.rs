//! TLS configurations, proven by handshakes in memory.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use sluice_snapshot::{Compiled, Listener, tls::provider};
use support::{delta, full, issues, listener, origin};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// (chain, key) for some names.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

fn certificate(name: &str, (chain, key): &(String, String)) -> Value {
    json!({"name": name, "origin": origin(), "chain": chain, "private_key": key})
}

fn termination(names: &[&str], certificate: &str) -> Value {
    json!({"server_names": names, "certificate": certificate, "origin": origin()})
}

fn secure(terminations: &[Value]) -> Value {
    let mut body = listener("https", &[]);
    body["tls"] = json!(true);
    body["terminations"] = json!(terminations);
    body
}

fn client(authority: &Authority, own: Option<&(String, String)>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    })
}

/// Shakes hands in memory; the server's certificate, or who refused.
fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<Vec<u8>, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    for _ in 0..8 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(client.peer_certificates().unwrap()[0].to_vec())
}

fn connect(listener: &Listener, client: &Arc<ClientConfig>, name: &str) -> Result<Vec<u8>, String> {
    shake(client, listener.tls.as_ref().unwrap().server_config(Some(name)), name)
}

fn der(pair: &(String, String)) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.0.as_bytes()).unwrap().to_vec()
}

#[test]
fn certificates_by_name_share_one_configuration() {
    let authority = Authority::new();
    let (a, b) = (authority.issue(&["a.com"]), authority.issue(&["*.b.com"]));
    let compiled = full(&[
        ("listener", secure(&[termination(&["a.com", "*"], "a"), termination(&["*.b.com"], "b")])),
        ("certificate", certificate("a", &a)),
        ("certificate", certificate("b", &b)),
    ]);
    assert_eq!(compiled.issues, []);
    let listener = compiled.listener("https").unwrap();
    let tls = listener.tls.as_ref().unwrap();
    let single = tls.single().unwrap();
    assert!(Arc::ptr_eq(single, tls.server_config(Some("x.B.com"))));
    assert_eq!(single.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    let client = client(&authority, None);
    assert_eq!(shake(&client, single, "a.com").unwrap(), der(&a));
    assert_eq!(shake(&client, single, "x.b.com").unwrap(), der(&b));
    assert!(shake(&client, single, "c.com").unwrap_err().starts_with("client"));
}

#[test]
fn bad_certificates_are_located_and_refused() {
    let authority = Authority::new();
    let (a, b) = (authority.issue(&["a.com"]), authority.issue(&["b.com"]));
    let mixed = (a.0.clone(), b.1.clone());
    let compiled = full(&[
        (
            "listener",
            secure(&[
                termination(&["*", "a.com"], "a"),
                termination(&["b.com"], "mixed"),
                termination(&["c.com"], "none"),
            ]),
        ),
        ("certificate", certificate("a", &a)),
        ("certificate", certificate("mixed", &mixed)),
        ("certificate", certificate("empty", &(String::new(), a.1.clone()))),
        ("certificate", certificate("keyless", &(a.0.clone(), "x".to_owned()))),
        ("certificate", certificate("cut", &(a.0[..a.0.len() / 2].to_owned(), a.1.clone()))),
        (
            "certificate",
            certificate(
                "garbage",
                &("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(), a.1.clone()),
            ),
        ),
    ]);
    let found: Vec<_> = issues(&compiled);
    let want = [
        ("certificate/cut", "chain"),
        ("certificate/empty", "chain"),
        ("certificate/garbage", "chain"),
        ("certificate/keyless", "private_key"),
        ("certificate/mixed", "private_key"),
        ("listener/https", "terminations[1].certificate"),
        ("listener/https", "terminations[2].certificate"),
    ];
    assert_eq!(found.iter().map(|(s, p)| (s.as_str(), p.as_str())).collect::<Vec<_>>(), want);
    assert!(compiled.issues.iter().all(|issue| !issue.message.contains("-----BEGIN")));
    let said = |section: &str| &compiled.issues.iter().find(|issue| issue.section == section).unwrap().message;
    assert!(said("certificate/cut").contains("without its END line"), "{}", said("certificate/cut"));
    assert!(said("certificate/garbage").ends_with("is no certificate"), "{}", said("certificate/garbage"));
    let listener = compiled.listener("https").unwrap();
    let client = client(&authority, None);
    assert!(connect(listener, &client, "a.com").is_ok());
    // Not the default certificate: the name has settings of its own, which cannot be obeyed.
    assert!(connect(listener, &client, "b.com").unwrap_err().starts_with("server"));
    assert!(
        shake(&client, listener.tls.as_ref().unwrap().single().unwrap(), "b.com").unwrap_err().starts_with("server")
    );
    assert_ne!(listener.termination_of(Some("b.com")), listener.termination_of(Some("a.com")));
}

#[test]
fn a_renewed_certificate_is_used_and_a_bad_renewal_is_not() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&["a.com"]), authority.issue(&["a.com"]));
    let first = full(&[("listener", secure(&[termination(&["*"], "a")])), ("certificate", certificate("a", &old))]);
    let change = delta(2, Some(1), &[("certificate", certificate("a", &new))], &[]);
    let second = Compiled::apply(Some(&first), &change).unwrap();
    let bad = (new.0.clone(), old.1.clone());
    let change = delta(3, Some(2), &[("certificate", certificate("a", &bad))], &[]);
    let third = Compiled::apply(Some(&second), &change).unwrap();
    let client = client(&authority, None);
    for (compiled, want) in [(&first, &old), (&second, &new), (&third, &new)] {
        assert_eq!(connect(compiled.listener("https").unwrap(), &client, "a.com").unwrap(), der(want));
    }
    assert_eq!(issues(&third), [("certificate/a".to_owned(), "private_key".to_owned())]);
    let gone = Compiled::apply(Some(&third), &delta(4, Some(3), &[], &["certificate/a"])).unwrap();
    assert!(connect(gone.listener("https").unwrap(), &client, "a.com").unwrap_err().starts_with("server"));
}

#[test]
fn client_certificates_versions_and_misdirection() {
    let authority = Authority::new();
    let (a, own) = (authority.issue(&["a.com", "b.com", "c.com"]), authority.issue(&["client"]));
    let mut guarded = termination(&["b.com"], "a");
    guarded["client_ca"] = json!(authority.pem);
    guarded["client_cert_required"] = json!(true);
    let mut modern = termination(&["c.com"], "a");
    modern["min_version"] = json!("1.3");
    modern["cipher_suites"] = json!(["ECDHE-RSA-AES128-GCM-SHA256", "RC4-MD5"]);
    let mut odd = termination(&["d.com"], "a");
    odd["client_cert_required"] = json!(true);
    let compiled = full(&[
        ("listener", secure(&[termination(&["*"], "a"), guarded, modern, odd])),
        ("certificate", certificate("a", &a)),
    ]);
    let found: Vec<_> = issues(&compiled).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["terminations[2].cipher_suites", "terminations[3].client_ca"]);
    let listener = compiled.listener("https").unwrap();
    assert!(listener.tls.as_ref().unwrap().single().is_none());
    let (plain, known) = (client(&authority, None), client(&authority, Some(&own)));
    assert!(connect(listener, &plain, "a.com").is_ok());
    assert!(connect(listener, &plain, "b.com").unwrap_err().starts_with("server"));
    assert!(connect(listener, &known, "b.com").is_ok());
    assert!(connect(listener, &plain, "c.com").is_ok());
    assert!(connect(listener, &plain, "d.com").unwrap_err().starts_with("server"));
    let of = |name| listener.termination_of(Some(name));
    assert_eq!(of("c.com"), of("other.com"));
    assert_ne!(of("b.com"), of("other.com"));
    assert_ne!(of("d.com"), of("other.com"));
}

#[test]
fn upstreams() {
    let authority = Authority::new();
    let (server, own) = (authority.issue(&["up.local"]), authority.issue(&["client"]));
    let cluster = |name: &str, tls: Value| {
        let mut body = support::cluster(name, "10.0.0.1");
        body["tls"] = tls;
        ("cluster", body)
    };
    let compiled = full(&[
        cluster("given", json!({"server_name": "up.local", "ca": authority.pem, "certificate": "own"})),
        cluster("system", json!({"server_name": "up.local"})),
        cluster("any", json!({"server_name": "other.local", "verify": false})),
        cluster("bad", json!({"server_name": "up.local", "ca": "nonsense"})),
        cluster("lost", json!({"server_name": "up.local", "certificate": "nobody"})),
        ("certificate", certificate("own", &own)),
        ("certificate", certificate("up", &server)),
        ("listener", secure(&[termination(&["*"], "up")])),
    ]);
    let listener = compiled.listener("https").unwrap();
    let to = |name: &str, server: &str| {
        connect(listener, &compiled.cluster_named(name).unwrap().tls.as_ref().unwrap().config, server).map(drop)
    };
    assert_eq!(to("given", "up.local"), Ok(()));
    assert!(to("given", "else.local").unwrap_err().starts_with("client"));
    assert!(to("system", "up.local").unwrap_err().starts_with("client"));
    assert_eq!(to("any", "other.local"), Ok(()));
    for (name, path) in [("bad", "tls.ca"), ("lost", "tls.certificate")] {
        let cluster = compiled.cluster_named(name).unwrap();
        assert!(cluster.tls.is_none() && cluster.broken.is_some());
        assert!(issues(&compiled).contains(&(format!("cluster/{name}"), path.to_owned())));
    }
    let fixed = [("certificate", certificate("nobody", &own))];
    let next = Compiled::apply(Some(&compiled), &delta(2, Some(1), &fixed, &[])).unwrap();
    let (before, after) = (compiled.cluster_named("lost").unwrap(), next.cluster_named("lost").unwrap());
    assert!(after.broken.is_none() && after.generation != before.generation);
    assert_eq!(before.id, after.id);
}
