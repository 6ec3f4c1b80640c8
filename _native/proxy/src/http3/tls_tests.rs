//! Hellos in any pieces.

use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::quic::{ClientConnection, Version};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use sluice_snapshot::Compiled;

use super::*;

const NAME: &str = "one.example";
/// QUIC version 1 (RFC 9000 section 15).
const VERSION: u32 = 1;

/// A session for a listener with a certificate for [`NAME`], and a hello for it that offers many protocols.
fn session(protocols: usize) -> Result<(Choosing, Vec<u8>), Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
    let origin = json!({"kind": "Mapping", "namespace": "default", "name": "x"});
    let section = |key: &str, body: Value| json!({"key": key, "slot": 1, "body": body});
    let delta = json!({"version": 1, "base": null, "remove": [], "upsert": [
        section("certificate/one", json!({
            "name": "one", "origin": origin, "chain": certificate.pem(), "private_key": key.serialize_pem(),
        })),
        section("listener/quic", json!({
            "name": "quic", "origin": origin, "address": "127.0.0.1", "port": 8080, "tls": true, "security": "xfp",
            "virtual_hosts": [], "protocol": "udp", "http3": true,
            "terminations": [{"server_names": [NAME], "certificate": "one", "origin": origin}],
        })),
    ]});
    let compiled = Compiled::apply(None, &serde_json::to_vec(&delta)?)?;
    let tls = compiled.listener("quic").and_then(|listener| listener.tls.clone()).ok_or("no TLS")?;
    let chooser = Arc::new(Chooser { initial: initial().ok_or("no keys")?, tls });
    let params = TransportParameters::read(Side::Client, &mut &[][..])?;

    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider())).build()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_webpki_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.alpn_protocols.extend((0..protocols).map(|at| format!("{at:0200}").into_bytes()));
    let name = ServerName::try_from(NAME)?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), Version::V1, name, Vec::new())?.write_hs(&mut hello);
    Ok((Choosing { chooser, version: VERSION, params, hello: Vec::new(), chosen: None }, hello))
}

#[test]
fn a_hello_is_read_in_any_pieces() -> Result<(), Box<dyn std::error::Error>> {
    for (protocols, size) in [(1, 1), (30, 1), (30, 1200), (30, 4096), (60, 1), (60, 16 * 1024)] {
        let (mut session, hello) = session(protocols)?;
        assert!(hello.len() > protocols * 200);
        let mut left = hello.len();
        for piece in hello.chunks(size) {
            assert!(session.chosen.is_none(), "chosen with {left} bytes to come");
            session.read_handshake(piece)?;
            left -= piece.len();
        }
        assert!(session.chosen.is_some(), "{} bytes in pieces of {size}", hello.len());
        let mut answer = Vec::new();
        assert!(session.write_handshake(&mut answer).is_some() && !answer.is_empty());
        assert_eq!(session.hello.capacity(), 0);
    }
    Ok(())
}

#[test]
fn what_is_no_hello_is_refused_by_its_first_bytes() -> Result<(), Box<dyn std::error::Error>> {
    // Another message, and a hello of 64 KiB.
    for bytes in [&[2][..], &[1, 1, 0, 0]] {
        let (mut session, _) = session(1)?;
        let refused = session.read_handshake(bytes);
        assert_eq!(refused.map_err(|error| error.code), Err(TransportErrorCode::crypto(50)), "{bytes:?}");
    }
    // A hello whose rest never comes holds no more than it may be long.
    let (mut session, _) = session(1)?;
    assert_eq!(session.read_handshake(&[1, 0, 0x3f, 0xfc]), Ok(false));
    assert_eq!(session.read_handshake(&[0; 10_000]), Ok(false));
    assert!(session.read_handshake(&[0; 10_000]).is_err());
    Ok(())
}
