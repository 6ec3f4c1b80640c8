//! Certificates by server name.

use std::borrow::Cow;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sluice_route::DomainMap;

/// A server name in lower case; no name is the empty one, which only `*` takes.
pub(super) fn lower(name: Option<&str>) -> Cow<'_, [u8]> {
    let name = name.unwrap_or_default().as_bytes();
    if name.iter().any(u8::is_ascii_uppercase) { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }
}

/// Picks the certificate by server name. A name with `None` belongs to a termination that is not this configuration's:
/// its handshake is refused, so that a name never falls to settings that are weaker than its own.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) DomainMap<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(&lower(hello.server_name())).cloned().flatten()
    }
}
