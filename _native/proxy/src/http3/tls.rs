//! TLS of a connection, chosen by the server name that the client asks for.
//!
//! QUIC's library wants the configuration before it has read the client's hello, but the settings of a name (client
//! certificates, versions) may differ from those of another one. So a session begins without a configuration, collects the
//! hello, and becomes what the listener says for that name. A name without settings is refused, never given others.

use std::any::Any;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn::{ConnectionId, Side, TransportErrorCode};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use rustls::AlertDescription;
use sluice_policy::client_hello::{FirstBytes, MAX_HELLO, look_at_message};
use sluice_snapshot::tls::{ListenerTls, provider};

/// What is the same for all names: the keys of first packets, which are no secret (RFC 9001 section 5.2).
pub(super) fn initial() -> Option<Arc<QuicServerConfig>> {
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).ok()?;
    let resolver = rustls::server::ResolvesServerCertUsingSni::new();
    let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    QuicServerConfig::try_from(config).ok().map(Arc::new)
}

/// The configurations of a listener at the moment a connection arrived.
pub(super) struct Chooser {
    pub(super) initial: Arc<QuicServerConfig>,
    pub(super) tls: Arc<ListenerTls>,
}

impl ServerConfig for Chooser {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.initial.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.initial.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        Box::new(Choosing { chooser: self, version, params: *params, hello: Vec::new(), chosen: None })
    }
}

/// A session that may still wait for the client's hello.
struct Choosing {
    chooser: Arc<Chooser>,
    version: u32,
    params: TransportParameters,
    hello: Vec<u8>,
    chosen: Option<Box<dyn Session>>,
}

fn alert(description: AlertDescription, reason: &str) -> TransportError {
    TransportError { code: TransportErrorCode::crypto(description.into()), frame: None, reason: reason.to_owned() }
}

impl Choosing {
    fn choose(&mut self) -> Result<bool, TransportError> {
        let name = match look_at_message(&self.hello) {
            FirstBytes::Incomplete => return Ok(false),
            FirstBytes::Hello(name) => name,
            FirstBytes::Cleartext | FirstBytes::Malformed => {
                return Err(alert(AlertDescription::DecodeError, "no hello, or one that is broken or too long"));
            }
        };
        let config = self.chooser.tls.quic_config(name.as_deref());
        let config = config.and_then(|config| QuicServerConfig::try_from(config).ok());
        let config = config.ok_or_else(|| alert(AlertDescription::UnrecognisedName, "no settings for this name"))?;
        let session = self.chosen.insert(Arc::new(config).start_session(self.version, &self.params));
        session.read_handshake(&std::mem::take(&mut self.hello))
    }
}

impl Session for Choosing {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        match &self.chosen {
            Some(session) => session.initial_keys(dst_cid, side),
            // The version was accepted with the first packet, so there are keys for it.
            None => {
                Arc::clone(&self.chooser.initial).start_session(self.version, &self.params).initial_keys(dst_cid, side)
            }
        }
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.chosen.as_ref()?.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.chosen.as_ref()?.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        // A request that could be replayed is never taken (RFC 9001 section 9.2).
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.chosen.as_ref().is_none_or(|session| session.is_handshaking())
    }

    fn read_handshake(&mut self, data: &[u8]) -> Result<bool, TransportError> {
        if let Some(session) = &mut self.chosen {
            return session.read_handshake(data);
        }
        if self.hello.len() + data.len() > MAX_HELLO {
            return Err(alert(AlertDescription::DecodeError, "the hello is too long"));
        }
        self.hello.extend_from_slice(data);
        self.choose()
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.chosen.as_ref().map_or(Ok(None), |session| session.transport_parameters())
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        self.chosen.as_mut()?.write_handshake(out)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.chosen.as_mut()?.next_1rtt_keys()
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        // Servers are never told to retry.
        false
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        let session = self.chosen.as_ref().ok_or(ExportKeyingMaterialError)?;
        session.export_keying_material(output, label, context)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
