//! Certificates, and TLS on both sides of the gateway.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sluice_snapshot::tls::provider;

use super::wire::Wire;

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// (chain, key) for a name.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// A server configuration for a name.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (chain, key) = self.issue(name);
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

pub(crate) type Secure = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// Connects with TLS. `before` goes first, in clear.
pub(crate) fn connect(config: &Arc<ClientConfig>, address: SocketAddr, name: &str, before: &[u8]) -> Secure {
    let mut wire = super::connect(address);
    wire.send(before);
    over(config, wire, name)
}

/// Begins TLS on a connection, with the first bytes that are sent or read.
pub(crate) fn over(config: &Arc<ClientConfig>, wire: Wire<TcpStream>, name: &str) -> Secure {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    Wire::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), wire.stream))
}

/// The server's side of an accepted connection.
pub(crate) fn accept(
    config: &Arc<ServerConfig>,
    wire: Wire<TcpStream>,
) -> Wire<StreamOwned<ServerConnection, TcpStream>> {
    Wire::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), wire.stream))
}
