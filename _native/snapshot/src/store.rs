//! The sections a snapshot is made of; unchanged ones are shared between versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use rustls::sign::CertifiedKey;

use crate::cluster::Cluster;
use crate::error::Findings;
use crate::host::VirtualHost;
use crate::ids::Ids;
use crate::listener::Listener;
use crate::model;
use crate::options::Options;

/// A section that depends on others: its wire form is kept to build it again.
#[derive(Debug)]
pub(crate) struct Linked<M, T> {
    pub(crate) model: Arc<M>,
    pub(crate) slot: u32,
    pub(crate) built: Arc<T>,
    pub(crate) findings: Findings,
}

/// A section that stands for itself.
#[derive(Debug, Default)]
pub(crate) struct Single<T> {
    pub(crate) built: Arc<T>,
    pub(crate) findings: Findings,
}

pub(crate) type Hosts = AHashMap<Arc<str>, Arc<Single<VirtualHost>>>;
pub(crate) type ClusterSection = Linked<model::Cluster, Cluster>;
pub(crate) type ListenerSection = Linked<model::Listener, Listener>;

/// Certificates that are in order, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates(pub(crate) AHashMap<Arc<str>, (Arc<model::Certificate>, Arc<CertifiedKey>)>);

impl Certificates {
    pub(crate) fn key(&self, name: &str) -> Result<Arc<CertifiedKey>, String> {
        let found = self.0.get(name).map(|(_, key)| Arc::clone(key));
        found.ok_or_else(|| format!("there is no usable certificate {name:?}"))
    }

    pub(crate) fn model(&self, name: &str) -> Option<&Arc<model::Certificate>> {
        self.0.get(name).map(|(model, _)| model)
    }
}

/// All sections; each family behind its own reference, so that a delta copies only the families it touches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) options: Arc<Single<Options>>,
    pub(crate) certificates: Arc<Certificates>,
    /// By number.
    pub(crate) clusters: Arc<Vec<Option<Arc<ClusterSection>>>>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) listeners: Arc<BTreeMap<Arc<str>, Arc<ListenerSection>>>,
    pub(crate) ids: Arc<Ids>,
    /// Why the newest form of a section is not in force, by section key.
    pub(crate) failed: BTreeMap<String, (String, String)>,
}
