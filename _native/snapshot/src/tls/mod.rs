//! TLS configurations: rustls with aws-lc-rs, the provider always passed explicitly.

mod certificate;
pub(crate) mod client;
mod names;
mod server;
mod suites;
mod trust;

use std::sync::{Arc, OnceLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

pub(crate) use certificate::parse as parse_certificate;
pub use server::ListenerTls;

use crate::model::TlsVersion;

/// The one provider of the process.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}

static OLD: &[&SupportedProtocolVersion] = &[&TLS12];
static NEW: &[&SupportedProtocolVersion] = &[&TLS13];
static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Protocol versions from `min` to `max`.
fn versions(min: TlsVersion, max: TlsVersion) -> Result<&'static [&'static SupportedProtocolVersion], String> {
    match (min, max) {
        (TlsVersion::V12, TlsVersion::V12) => Ok(OLD),
        (TlsVersion::V12, TlsVersion::V13) => Ok(BOTH),
        (TlsVersion::V13, TlsVersion::V13) => Ok(NEW),
        (TlsVersion::V13, TlsVersion::V12) => Err("min_version is above max_version".to_owned()),
    }
}
