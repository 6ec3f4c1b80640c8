//! One version of the configuration.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::error::{Findings, Issue};
use crate::host::VirtualHost;
use crate::ids::ClusterId;
use crate::listener::Listener;
use crate::options::Options;
use crate::store::Store;

/// Immutable; a request keeps the one it started with.
#[derive(Debug)]
pub struct Compiled {
    /// As given by the delta.
    pub version: u64,
    /// Gateway-wide behaviour.
    pub options: Arc<Options>,
    /// Everything that is not in force as declared, ordered by section and path.
    pub issues: Vec<Issue>,
    pub(crate) store: Store,
}

impl Compiled {
    /// A configuration that serves nothing.
    pub fn empty() -> Self {
        Self::new(0, Store::default())
    }

    pub(crate) fn new(version: u64, store: Store) -> Self {
        Self { version, options: Arc::clone(&store.options.built), issues: issues(&store), store }
    }

    /// A listener by name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.store.listeners.get(name).map(|section| &section.built)
    }

    /// All listeners, by name.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.store.listeners.values().map(|section| &section.built)
    }

    /// The cluster a route of this snapshot refers to; `None` when there is none of that name.
    #[inline]
    pub fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        Some(&self.store.clusters.get(id.index())?.as_ref()?.built)
    }

    /// A cluster by name.
    pub fn cluster_named(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.cluster(self.store.ids.get(name)?)
    }

    /// All clusters, in no particular order.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.store.clusters.iter().flatten().map(|section| &section.built)
    }

    /// A virtual host by name.
    pub fn virtual_host(&self, name: &str) -> Option<&Arc<VirtualHost>> {
        self.store.hosts.get(name).map(|section| &section.built)
    }

    /// All virtual hosts, in no particular order.
    pub fn virtual_hosts(&self) -> impl Iterator<Item = &Arc<VirtualHost>> {
        self.store.hosts.values().map(|section| &section.built)
    }
}

fn issues(store: &Store) -> Vec<Issue> {
    let mut all = Vec::new();
    let mut extend = |family: &str, name: &str, findings: &Findings| {
        all.extend(findings.0.iter().map(|(path, message)| Issue {
            section: format!("{family}/{name}"),
            path: path.clone(),
            message: message.clone(),
        }));
    };
    extend("options", "main", &store.options.findings);
    for section in store.clusters.iter().flatten() {
        extend("cluster", &section.built.name, &section.findings);
    }
    for (name, section) in store.hosts.iter() {
        extend("virtual_host", name, &section.findings);
    }
    for (name, section) in store.listeners.iter() {
        extend("listener", name, &section.findings);
    }
    all.extend(store.failed.iter().map(|(key, (path, message))| Issue {
        section: key.clone(),
        path: path.clone(),
        message: message.clone(),
    }));
    all.sort_unstable();
    all
}
