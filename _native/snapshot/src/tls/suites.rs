//! Cipher suites by name.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

/// Names of OpenSSL and of IANA for the TLS 1.2 suites that rustls has.
const NAMES: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// A provider with the wanted TLS 1.2 suites in the wanted order, and the names that are unknown. As in Envoy, the
/// suites of TLS 1.3 are not a matter of configuration. An entry may be a group of equals, `[A|B]`.
pub(super) fn provider(wanted: &[String]) -> (Arc<CryptoProvider>, Vec<String>) {
    let base = super::provider();
    if wanted.is_empty() {
        return (Arc::clone(base), Vec::new());
    }
    let (mut suites, old): (Vec<_>, Vec<_>) = base.cipher_suites.iter().partition(|suite| suite.tls13().is_some());
    let mut unknown = Vec::new();
    for name in wanted.iter().flat_map(|entry| entry.trim_matches(['[', ']']).split('|')) {
        match old.iter().find(|suite| is_called(**suite, name)) {
            Some(suite) if !suites.contains(suite) => suites.push(*suite),
            Some(_) => {}
            None if name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_") => {}
            None => unknown.push(name.to_owned()),
        }
    }
    (Arc::new(CryptoProvider { cipher_suites: suites, ..base.as_ref().clone() }), unknown)
}

fn is_called(suite: SupportedCipherSuite, name: &str) -> bool {
    let iana = suite.suite().as_str().unwrap_or_default();
    iana == name || NAMES.iter().any(|(openssl, long)| *openssl == name && *long == iana)
}
