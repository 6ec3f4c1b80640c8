//! PEM to a certificate with its key.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::model;

/// Parses chain and key and checks that they belong together. Messages never quote the key.
pub(crate) fn parse(certificate: &model::Certificate) -> Result<Arc<CertifiedKey>, String> {
    let chain = certificates(&certificate.chain).map_err(|message| format!("chain: {message}"))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => "private_key: there is no private key in it".to_owned(),
        other => format!("private_key: not readable PEM: {other}"),
    })?;
    CertifiedKey::from_der(chain, key, super::provider()).map(Arc::new).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "private_key: does not belong to the certificate".to_owned()
        }
        Error::InvalidCertificate(error) => format!("chain: the certificate cannot be read: {error:?}"),
        other => format!("private_key: cannot be used: {other}"),
    })
}

/// All certificates of a PEM text; none is an error.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("not readable PEM: {error}"))?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}
