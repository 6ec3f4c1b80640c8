//! What a worker knows about the clusters it sends to: whose turn it is, who is healthy, who failed too often.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sluice_policy::rng::Rng;
use sluice_policy::upstream::{Balancer, Endpoint, Live, Observation, Outliers, State};
use sluice_snapshot::{Cluster, Compiled};

use crate::rules;
use crate::shared::Shared;

/// An endpoint that was chosen. It counts a request under way as long as it lives.
pub(crate) struct Chosen {
    pub(crate) address: SocketAddr,
    target: Rc<Target>,
    live: Rc<Live>,
}

impl Chosen {
    /// Tells how an attempt at this endpoint ended, `latency_ns` after its start.
    pub(crate) fn observe(&self, what: Observation, latency_ns: u64, now_ns: u64) {
        self.live.observe(latency_ns, now_ns);
        self.target.record(self.address, what, now_ns);
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.live.end();
    }
}

/// One configuration of a cluster and what was learnt about its endpoints.
struct Members {
    balancer: Arc<Balancer>,
    state: State,
    outliers: Option<Outliers>,
    /// What active checks say of each endpoint; without checks all are well.
    checked: Box<[Cell<bool>]>,
}

/// A cluster as this worker sees it; what is known of an endpoint outlives changes of the configuration.
pub(crate) struct Target {
    cluster: RefCell<Arc<Cluster>>,
    version: Cell<u64>,
    members: RefCell<Members>,
    /// The addresses that `members` was made of, where they come from a name.
    resolved: RefCell<Option<Rc<[SocketAddr]>>>,
    /// A task checks the endpoints.
    pub(crate) checking: Cell<bool>,
    forgotten: Cell<bool>,
}

fn endpoints(addresses: &[SocketAddr]) -> Vec<Endpoint> {
    addresses.iter().map(|&address| Endpoint { address, weight: 1, zone: None }).collect()
}

impl Members {
    fn new(cluster: &Cluster, balancer: Arc<Balancer>, now_ns: u64, seed: u64) -> Self {
        let state = State::new(&balancer, now_ns, seed);
        let count = balancer.endpoints().len();
        let outliers = cluster.outlier.as_deref().cloned().map(|config| Outliers::new(config, count, now_ns));
        let checked = (0..count).map(|_| Cell::new(true)).collect();
        let members = Self { balancer, state, outliers, checked };
        members.expect_checks(cluster, &vec![None; count], now_ns);
        members
    }

    /// The same endpoints as far as they stay, and what is known about them.
    fn following(&self, cluster: &Cluster, balancer: Arc<Balancer>, now_ns: u64) -> Self {
        let moved = balancer.moved_from(&self.balancer);
        let state = self.state.following(&balancer, &moved, now_ns);
        let count = balancer.endpoints().len();
        let outliers = cluster.outlier.as_deref().cloned().map(|config| match &self.outliers {
            Some(known) => known.following(config, &moved),
            None => Outliers::new(config, count, now_ns),
        });
        let known = |from: &Option<usize>| from.and_then(|at| self.checked.get(at)).is_none_or(Cell::get);
        let checked = moved.iter().map(|from| Cell::new(known(from))).collect();
        let members = Self { balancer, state, outliers, checked };
        members.expect_checks(cluster, &moved, now_ns);
        members
    }

    /// Endpoints that came new to a cluster with checks have to pass one first (Envoy, "Health checking").
    fn expect_checks(&self, cluster: &Cluster, moved: &[Option<usize>], now_ns: u64) {
        for (index, from) in moved.iter().enumerate() {
            if from.is_none() && !cluster.health_checks.is_empty() {
                self.checked[index].set(false);
            } else if cluster.health_checks.is_empty() {
                self.checked[index].set(true);
            }
            self.settle(index, now_ns);
        }
    }

    fn index_of(&self, address: SocketAddr) -> Option<usize> {
        self.balancer.endpoints().iter().position(|endpoint| endpoint.address == address)
    }

    /// Puts together what checks and outlier detection say.
    fn settle(&self, index: usize, now_ns: u64) {
        let ejected = self.outliers.as_ref().is_some_and(|outliers| outliers.is_ejected(index));
        let checked = self.checked.get(index).is_none_or(Cell::get);
        self.state.set_healthy(index, checked && !ejected, now_ns);
    }
}

impl Target {
    fn new(cluster: &Arc<Cluster>, version: u64, now_ns: u64, seed: u64) -> Self {
        let members = Members::new(cluster, rules::balancer(cluster), now_ns, seed);
        Self {
            cluster: RefCell::new(Arc::clone(cluster)),
            version: Cell::new(version),
            members: RefCell::new(members),
            resolved: RefCell::default(),
            checking: Cell::new(false),
            forgotten: Cell::new(false),
        }
    }

    /// Goes over to a newer form of the cluster.
    fn update(&self, cluster: &Arc<Cluster>, version: u64, now_ns: u64) {
        if version <= self.version.get() {
            return;
        }
        self.version.set(version);
        if Arc::ptr_eq(&self.cluster.borrow(), cluster) {
            return;
        }
        let balancer = match (&cluster.dns, &*self.resolved.borrow()) {
            (Some(_), Some(addresses)) => Arc::new(Balancer::new(endpoints(addresses), rules::settings(cluster))),
            _ => rules::balancer(cluster),
        };
        let members = self.members.borrow().following(cluster, balancer, now_ns);
        self.members.replace(members);
        self.cluster.replace(Arc::clone(cluster));
    }

    /// Takes over the addresses that the cluster's name has now.
    pub(crate) fn resolved(&self, addresses: &Rc<[SocketAddr]>, now_ns: u64) {
        let known = self.resolved.borrow().as_ref().is_some_and(|known| Rc::ptr_eq(known, addresses));
        if known {
            return;
        }
        let same = self.resolved.borrow().as_ref().is_some_and(|known| known == addresses);
        self.resolved.replace(Some(Rc::clone(addresses)));
        if same {
            return;
        }
        let cluster = Arc::clone(&self.cluster.borrow());
        let balancer = Arc::new(Balancer::new(endpoints(addresses), rules::settings(&cluster)));
        let members = self.members.borrow().following(&cluster, balancer, now_ns);
        self.members.replace(members);
    }

    /// Chooses an endpoint, `avoid`ing those that failed this request before where there are others.
    pub(crate) fn choose(
        self: &Rc<Self>,
        key: Option<u64>,
        avoid: &[SocketAddr],
        now_ns: u64,
        rng: &mut Rng,
    ) -> Option<Chosen> {
        let members = self.members.borrow();
        let endpoints = members.balancer.endpoints();
        let avoided = |index: usize| endpoints.get(index).is_some_and(|endpoint| avoid.contains(&endpoint.address));
        let index = members.balancer.pick(&members.state, now_ns, key, avoided, rng)?;
        let live = Rc::clone(members.state.live(index)?);
        live.begin();
        Some(Chosen { address: endpoints.get(index)?.address, target: Rc::clone(self), live })
    }

    fn record(&self, address: SocketAddr, what: Observation, now_ns: u64) {
        let mut members = self.members.borrow_mut();
        if members.outliers.is_none() {
            return;
        }
        let Some(index) = members.index_of(address) else { return };
        let ejected = members.outliers.as_mut().and_then(|outliers| outliers.record(index, what, now_ns));
        if ejected.is_some() {
            members.settle(index, now_ns);
        }
    }

    /// What an active check says of an endpoint.
    pub(crate) fn checked(&self, address: SocketAddr, healthy: bool, now_ns: u64) {
        let members = self.members.borrow();
        if let Some(index) = members.index_of(address) {
            members.checked[index].set(healthy);
            members.settle(index, now_ns);
        }
    }

    /// Whether this is an endpoint of the cluster.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        self.members.borrow().index_of(address).is_some()
    }

    /// The configuration has no such cluster any more.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.get()
    }

    /// Addresses of all endpoints at this moment.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.borrow().balancer.endpoints().iter().map(|endpoint| endpoint.address).collect()
    }

    /// The cluster as it is configured now.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.borrow())
    }

    /// Writes down how many endpoints there are, and how many of them get requests.
    pub(crate) fn report(&self, shared: &Shared) {
        let slot = self.cluster.borrow().slot as usize;
        // Clusters without a row of their own would overwrite each other's numbers.
        if let Some(row) = shared.cluster_row(slot).filter(|_| slot != 0) {
            let members = self.members.borrow();
            let all = members.balancer.endpoints().len();
            let ejected =
                members.outliers.as_ref().map_or(0, |known| (0..all).filter(|&n| known.is_ejected(n)).count());
            row.endpoints(all, members.state.healthy(), ejected);
        }
    }

    /// Lets endpoints return whose time is over, and ejects those that fail more often than the others, if that is due.
    fn sweep(&self, now_ns: u64) -> bool {
        let mut members = self.members.borrow_mut();
        let due = members.outliers.as_mut().filter(|outliers| outliers.next_sweep_ns() <= now_ns);
        let Some(swept) = due.map(|outliers| outliers.sweep(now_ns)) else { return false };
        for index in swept.returned.into_iter().chain(swept.ejected) {
            members.settle(index, now_ns);
        }
        true
    }
}

/// The clusters that were asked for since they were configured, by the index of their id.
#[derive(Default)]
pub(crate) struct Targets(RefCell<Vec<Option<Rc<Target>>>>);

impl Targets {
    /// The target of a cluster. A newer version of the configuration replaces what an older one says.
    pub(crate) fn of(&self, cluster: &Arc<Cluster>, version: u64, now_ns: u64, seed: impl Fn() -> u64) -> Rc<Target> {
        let mut targets = self.0.borrow_mut();
        let row = cluster.id.index();
        if let Some(Some(target)) = targets.get(row) {
            if Arc::ptr_eq(&target.cluster.borrow(), cluster) {
                return Rc::clone(target);
            }
            // Ids are given to other names once theirs are gone.
            if target.cluster.borrow().name == cluster.name {
                target.update(cluster, version, now_ns);
                return Rc::clone(target);
            }
        }
        let target = Rc::new(Target::new(cluster, version, now_ns, seed()));
        if let Some(Some(other)) = targets.get(row) {
            other.forgotten.set(true);
        }
        if targets.len() <= row {
            targets.resize(row + 1, None);
        }
        targets[row] = Some(Rc::clone(&target));
        target
    }

    /// When [`Targets::judge`] has something to do; far away if nothing is judged.
    pub(crate) fn next_sweep_ns(&self) -> u64 {
        let targets = self.0.borrow();
        let due = |target: &Rc<Target>| target.members.borrow().outliers.as_ref().map(Outliers::next_sweep_ns);
        targets.iter().flatten().filter_map(due).min().unwrap_or(u64::MAX)
    }

    /// Lets ejected endpoints return, where that is due before the next sweep.
    pub(crate) fn judge(&self, shared: &Shared, now_ns: u64) {
        for target in self.0.borrow().iter().flatten() {
            if target.sweep(now_ns) {
                target.report(shared);
            }
        }
    }

    /// Lets ejected endpoints return, and forgets clusters that are gone.
    pub(crate) fn sweep(&self, shared: &Shared, compiled: &Compiled, now_ns: u64) {
        let mut targets = self.0.borrow_mut();
        for place in targets.iter_mut() {
            let Some(target) = place else { continue };
            let known = Arc::clone(&target.cluster.borrow());
            match compiled.cluster(known.id).filter(|now| now.name == known.name) {
                Some(now) => {
                    target.update(now, compiled.version, now_ns);
                    target.sweep(now_ns);
                }
                None => {
                    target.forgotten.set(true);
                    *place = None;
                    if let Some(row) = shared.cluster_row(known.slot as usize).filter(|_| known.slot != 0) {
                        row.endpoints(0, 0, 0);
                    }
                }
            }
        }
        // Last, because a row that is free may be another's by now.
        targets.iter().flatten().for_each(|target| target.report(shared));
    }
}
