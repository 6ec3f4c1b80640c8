//! The client side: TLS towards an upstream.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;

use super::trust::{self, AnyCertificate};
use super::versions;
use crate::cluster::ClusterTls;
use crate::model::UpstreamTls;
use crate::store::Certificates;

/// Sessions to remember; a cluster has one server name.
const SESSIONS: usize = 16;

/// Builds the configuration; the error is (field, message).
pub(crate) fn compile(settings: &UpstreamTls, certificates: &Certificates) -> Result<ClusterTls, (String, String)> {
    let at = |field: &'static str| move |message: String| (field.to_owned(), message);
    let server_name = ServerName::try_from(settings.server_name.clone())
        .map_err(|_| at("server_name")(format!("{:?} is not a server name", settings.server_name)))?;
    let versions = versions(settings.min_version, settings.max_version).map_err(at("min_version"))?;
    let provider = super::provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| at("min_version")(error.to_string()))?;
    let builder = if settings.verify {
        let roots = settings.ca.as_deref().map_or_else(|| Ok(trust::system()), trust::bundle).map_err(at("ca"))?;
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(provider))))
    };
    let mut config = match &settings.certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = certificates.key(name).map_err(at("certificate"))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = settings.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(ClusterTls { config: Arc::new(config), server_name })
}
