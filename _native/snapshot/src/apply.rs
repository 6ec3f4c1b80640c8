//! From one version to the next.

use std::sync::Arc;

use ahash::AHashSet;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::compiled::Compiled;
use crate::delta::{Delta, Upsert};
use crate::error::{Findings, SnapshotError};
use crate::host::VirtualHost;
use crate::listener::Listener;
use crate::options::Options;
use crate::store::{Linked, Single, Store};
use crate::{model, tls};

/// A delta being applied.
struct Change<'b> {
    store: Store,
    /// The version before, for what has to stay in force.
    before: Option<&'b Store>,
    certificates: AHashSet<String>,
    hosts: AHashSet<String>,
    options: bool,
    /// Sections to build.
    clusters: Vec<(u32, Arc<model::Cluster>)>,
    listeners: Vec<(u32, Arc<model::Listener>)>,
}

impl Compiled {
    /// Applies a delta to `base`, or compiles a full snapshot (the delta's `base` is null). `base` may be given with a
    /// full snapshot too: sections of it stay in force where the new form fails as a whole.
    ///
    /// # Errors
    /// When the delta is not readable or was made for another version. Everything less becomes an issue.
    pub fn apply(base: Option<&Compiled>, delta: &[u8]) -> Result<Compiled, SnapshotError> {
        let delta: Delta<'_> = serde_json::from_slice(delta)?;
        let before = base.map(|base| &base.store);
        let store = match (delta.base, base) {
            (None, _) => Store { ids: before.map_or_else(Arc::default, |s| Arc::clone(&s.ids)), ..Store::default() },
            (Some(wanted), Some(base)) if base.version == wanted => base.store.clone(),
            (Some(wanted), _) => return Err(SnapshotError::Base { wanted, current: base.map(|base| base.version) }),
        };
        let mut change = Change {
            store,
            before,
            certificates: AHashSet::new(),
            hosts: AHashSet::new(),
            options: false,
            clusters: Vec::new(),
            listeners: Vec::new(),
        };
        for key in &delta.remove {
            change.remove(key);
        }
        for upsert in &delta.upsert {
            change.store.failed.remove(&upsert.key);
            if let Err((path, message)) = change.upsert(upsert) {
                change.fail(&upsert.key, path, message);
            }
        }
        change.link();
        Ok(Compiled::new(delta.version, change.store))
    }
}

type Failure = (String, String);

fn read<'a, T: Deserialize<'a>>(upsert: &Upsert<'a>, name: &str, named: fn(&T) -> &str) -> Result<T, Failure> {
    let body: T = serde_json::from_str(upsert.body.get()).map_err(|error| (String::new(), error.to_string()))?;
    if named(&body) != name {
        return Err(("name".to_owned(), format!("is {:?}, but the key says {name:?}", named(&body))));
    }
    Ok(body)
}

impl Change<'_> {
    fn remove(&mut self, key: &str) {
        self.store.failed.remove(key);
        match key.split_once('/') {
            Some(("options", _)) => {
                self.store.options = Arc::default();
                self.options = true;
            }
            Some(("certificate", name)) => {
                Arc::make_mut(&mut self.store.certificates).0.remove(name);
                self.certificates.insert(name.to_owned());
            }
            Some(("cluster", name)) => {
                let row = self.store.ids.get(name).map_or(usize::MAX, crate::ClusterId::index);
                if let Some(row) = Arc::make_mut(&mut self.store.clusters).get_mut(row) {
                    *row = None;
                }
            }
            Some(("virtual_host", name)) => {
                Arc::make_mut(&mut self.store.hosts).remove(name);
                self.hosts.insert(name.to_owned());
            }
            Some(("listener", name)) => {
                Arc::make_mut(&mut self.store.listeners).remove(name);
            }
            _ => {}
        }
    }

    fn upsert(&mut self, upsert: &Upsert<'_>) -> Result<(), Failure> {
        let slot = upsert.slot;
        match upsert.key.split_once('/') {
            Some(("options", _)) => {
                let model = read(upsert, "", |_: &model::Options| "")?;
                let mut findings = Findings::default();
                let built = Arc::new(Options::compile(&model, &mut findings));
                self.store.options = Arc::new(Single { built, findings });
                // Listeners carry what they believe, which depends on the options.
                self.options = true;
            }
            Some(("certificate", name)) => {
                let model = read(upsert, name, |body: &model::Certificate| &body.name)?;
                let key = tls::parse_certificate(&model).map_err(|message| {
                    let (path, message) = message.split_once(": ").unwrap_or(("", &message));
                    (path.to_owned(), message.to_owned())
                })?;
                self.certificates.insert(name.to_owned());
                Arc::make_mut(&mut self.store.certificates).0.insert(Arc::from(name), (Arc::new(model), key));
            }
            Some(("cluster", name)) => {
                let model = read(upsert, name, |body: &model::Cluster| &body.name)?;
                self.clusters.push((slot, Arc::new(model)));
            }
            Some(("virtual_host", name)) => {
                let model = read(upsert, name, |body: &model::VirtualHost| &body.name)?;
                let mut findings = Findings::default();
                let ids = Arc::make_mut(&mut self.store.ids);
                let built = Arc::new(VirtualHost::compile(model, slot, ids, &mut findings));
                self.hosts.insert(name.to_owned());
                let section = Arc::new(Single { built, findings });
                Arc::make_mut(&mut self.store.hosts).insert(Arc::clone(&section.built.name), section);
            }
            Some(("listener", name)) => {
                let model = read(upsert, name, |body: &model::Listener| &body.name)?;
                self.listeners.push((slot, Arc::new(model)));
            }
            _ => return Err((String::new(), "there is no such family of sections".to_owned())),
        }
        Ok(())
    }

    /// Records why a section is not in force and brings back its last good form if the delta dropped it.
    fn fail(&mut self, key: &str, path: String, message: String) {
        self.store.failed.insert(key.to_owned(), (path, message));
        let (Some(before), Some((family, name))) = (self.before, key.split_once('/')) else { return };
        match family {
            "options" => {
                self.store.options = Arc::clone(&before.options);
                self.options = true;
            }
            "certificate" => {
                if let Some((name, last)) = before.certificates.0.get_key_value(name) {
                    Arc::make_mut(&mut self.store.certificates).0.insert(Arc::clone(name), last.clone());
                }
            }
            "cluster" => {
                let last = before.ids.get(name).and_then(|id| before.clusters.get(id.index())?.as_ref());
                self.clusters.extend(last.map(|last| (last.slot, Arc::clone(&last.model))));
            }
            "virtual_host" => {
                if let Some((name, last)) = before.hosts.get_key_value(name) {
                    Arc::make_mut(&mut self.store.hosts).insert(Arc::clone(name), Arc::clone(last));
                    self.hosts.insert(name.as_ref().to_owned());
                }
            }
            "listener" => {
                let last = before.listeners.get(name);
                self.listeners.extend(last.map(|last| (last.slot, Arc::clone(&last.model))));
            }
            _ => {}
        }
    }

    /// Builds what was set and what depends on something that changed.
    fn link(&mut self) {
        self.link_clusters();
        self.link_listeners();
        let live = self.store.clusters.iter().flatten().count();
        if self.store.ids.is_wasteful(live) {
            let clusters = self.store.clusters.iter().flatten().map(|section| section.built.id);
            let used = clusters.chain(self.store.hosts.values().flat_map(|section| section.built.clusters())).collect();
            Arc::make_mut(&mut self.store.ids).reclaim(&used);
        }
    }

    fn link_clusters(&mut self) {
        if !self.certificates.is_empty() {
            let set: AHashSet<String> = self.clusters.iter().map(|(_, model)| model.name.clone()).collect();
            let uses = |model: &model::Cluster| {
                let certificate = model.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
                certificate.is_some_and(|name| self.certificates.contains(name)) && !set.contains(&model.name)
            };
            let again = self.store.clusters.iter().flatten().filter(|section| uses(&section.model));
            self.clusters.extend(again.map(|section| (section.slot, Arc::clone(&section.model))).collect::<Vec<_>>());
        }
        for (slot, model) in std::mem::take(&mut self.clusters) {
            let named = match self.store.ids.get(&model.name) {
                Some(id) => (id, Arc::from(model.name.as_str())),
                None => Arc::make_mut(&mut self.store.ids).of(&model.name),
            };
            let row = named.0.index();
            let mut findings = Findings::default();
            let built = Arc::new(Cluster::compile(&model, named, slot, &self.store.certificates, &mut findings));
            let rows = Arc::make_mut(&mut self.store.clusters);
            if rows.len() < self.store.ids.rows() {
                rows.resize(self.store.ids.rows(), None);
            }
            if let Some(place) = rows.get_mut(row) {
                *place = Some(Arc::new(Linked { model, slot, built, findings }));
            }
        }
    }

    fn link_listeners(&mut self) {
        let set: AHashSet<String> = self.listeners.iter().map(|(_, model)| model.name.clone()).collect();
        let uses = |model: &model::Listener| {
            !set.contains(&model.name)
                && (self.options
                    || model.virtual_hosts.iter().any(|name| self.hosts.contains(name))
                    || model.terminations.iter().any(|tls| self.certificates.contains(&tls.certificate)))
        };
        let again = self.store.listeners.values().filter(|section| uses(&section.model));
        self.listeners.extend(again.map(|section| (section.slot, Arc::clone(&section.model))).collect::<Vec<_>>());
        for (slot, model) in std::mem::take(&mut self.listeners) {
            let mut findings = Findings::default();
            let keep_tls = !model.terminations.iter().any(|tls| self.certificates.contains(&tls.certificate));
            let last = self.store.listeners.get(model.name.as_str());
            let built = Arc::new(Listener::compile(
                &model,
                slot,
                &self.store,
                last.map(|last| (last.model.as_ref(), last.built.as_ref())),
                keep_tls,
                &mut findings,
            ));
            let section = Arc::new(Linked { model, slot, built, findings });
            Arc::make_mut(&mut self.store.listeners).insert(Arc::clone(&section.built.name), section);
        }
    }
}
