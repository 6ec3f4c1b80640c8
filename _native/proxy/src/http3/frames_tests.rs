//! Streams that a client breaks off.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig, VarInt};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::PrivateKeyDer;
use sluice_host::{Host, SystemClock, TurnBudget};
use sluice_policy::stats::Layout;
use sluice_snapshot::Compiled;
use sluice_snapshot::tls::provider;

use super::*;
use crate::memory::SharedWords;

type Failed = Box<dyn std::error::Error>;

const NAME: &str = "one.example";

/// A server and a client that trusts it.
fn endpoints() -> Result<(Endpoint, Endpoint), Failed> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
    let versions = [&rustls::version::TLS13];
    let tls = rustls::ServerConfig::builder_with_provider(Arc::clone(provider())).with_protocol_versions(&versions)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let tls = tls.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)?;
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Endpoint::server(ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?)), here)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone())?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::clone(provider())).with_protocol_versions(&versions)?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let mut client = Endpoint::client(here)?;
    client.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    Ok((server, client))
}

fn shared() -> Result<Rc<Shared>, Failed> {
    let layout = Layout { workers: 1 };
    let memory = Arc::new(SharedWords::private(layout.words())?);
    Ok(Shared::new(
        Host::new(SystemClock, TurnBudget::default())?,
        Arc::new(Compiled::empty()),
        memory,
        layout,
        0,
        None,
        7,
    )?)
}

#[test]
fn a_break_is_not_forgotten() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (server, client) = endpoints()?;
        let connecting = client.connect(server.local_addr()?, NAME)?;
        let connecting = tokio::spawn(connecting);
        let accepted = server.accept().await.ok_or("no connection")?.await?;
        let near = connecting.await??;
        let mut broken = near.open_uni().await?;
        broken.write_all(&[1]).await?;
        let mut frames = Frames::new(&shared()?, accepted.accept_uni().await?);
        assert_eq!(frames.integer().await, Ok(Some(1)));
        broken.reset(VarInt::from_u32(7))?;
        // What comes behind the reset has come when this has.
        let mut later = near.open_uni().await?;
        later.write_all(&[1]).await?;
        accepted.accept_uni().await?.read_exact(&mut [0]).await?;
        assert!(!frames.has_ended());
        assert!(!frames.has_ended());
        assert_eq!(frames.integer().await, Err(Broken::Gone));
        assert_eq!(frames.discard().await, Err(Broken::Gone));
        Ok(())
    })
}
