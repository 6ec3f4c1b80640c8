//! PEM to a certificate with its key.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::model;

/// Parses chain and key and checks that they belong together. Messages never quote the key.
pub(crate) fn parse(certificate: &model::Certificate) -> Result<Arc<CertifiedKey>, String> {
    let chain = certificates(&certificate.chain).map_err(|message| format!("chain: {message}"))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => "private_key: there is no private key in it".to_owned(),
        other => format!("private_key: {}", in_words(&other)),
    })?;
    CertifiedKey::from_der(chain, key, super::provider()).map(Arc::new).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "private_key: does not belong to the certificate".to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "chain: the base64 between its BEGIN and END lines is no certificate".to_owned()
        }
        Error::InvalidCertificate(error) => format!("chain: the certificate cannot be used: {error}"),
        other => format!("private_key: cannot be used: {other}"),
    })
}

/// All certificates of a PEM text; none is an error.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| in_words(&error))?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

/// What is wrong with a PEM text. Its own description quotes lines of the text as numbers; a key must not be quoted.
fn in_words(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a BEGIN line without its END line; the text may be cut off",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line that is damaged",
        pem::Error::Base64Decode(_) => "damaged base64 between its BEGIN and END lines",
        pem::Error::SectionTooLarge => "a section that is too large",
        _ => "nothing that could be read",
    };
    format!("the PEM text has {what}")
}
