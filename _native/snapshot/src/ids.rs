//! Dense, stable numbers for cluster names.
//!
//! Routes refer to clusters by number, so that a changed cluster is seen by virtual hosts that did not change.

use std::sync::Arc;

use ahash::AHashMap;

/// Number of a cluster name; only meaningful to snapshots that descend from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub(crate) u32);

impl ClusterId {
    /// Position in tables with one row per cluster.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Below this many numbers nothing is reclaimed.
const KEEP: usize = 1024;

/// The numbering.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    by_name: AHashMap<Arc<str>, ClusterId>,
    free: Vec<ClusterId>,
    next: u32,
}

impl Ids {
    /// The number of `name`, a new one if need be, and the shared spelling of the name.
    pub(crate) fn of(&mut self, name: &str) -> (ClusterId, Arc<str>) {
        if let Some((name, &id)) = self.by_name.get_key_value(name) {
            return (id, Arc::clone(name));
        }
        let id = self.free.pop().unwrap_or_else(|| {
            let id = ClusterId(self.next);
            self.next += 1;
            id
        });
        let name: Arc<str> = Arc::from(name);
        self.by_name.insert(Arc::clone(&name), id);
        (id, name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<ClusterId> {
        self.by_name.get(name).copied()
    }

    /// Rows a table needs to be indexed by any number given out.
    pub(crate) fn rows(&self) -> usize {
        self.next as usize
    }

    /// True when many more names are numbered than `live` clusters exist: names of deployments that are gone.
    pub(crate) fn is_wasteful(&self, live: usize) -> bool {
        self.by_name.len() > KEEP + 2 * live
    }

    /// Gives back the numbers that are not `used`.
    pub(crate) fn reclaim(&mut self, used: &ahash::AHashSet<ClusterId>) {
        let free = &mut self.free;
        self.by_name.retain(|_, id| {
            let keep = used.contains(id);
            if !keep {
                free.push(*id);
            }
            keep
        });
    }
}
