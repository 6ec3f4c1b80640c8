//! What one worker has learnt about the endpoints of a cluster, beside the compiled [`Balancer`].

use crate::upstream::balance::{Balancer, Policy};
use crate::upstream::endpoint::Live;
use crate::upstream::tiers::{TIERS, Tier};
use std::cell::Cell;
use std::rc::Rc;

/// The state of one cluster in one worker.
#[derive(Debug)]
pub struct State {
    live: Box<[Rc<Live>]>,
    /// Where the next plain round begins, for each tier.
    turns: [Cell<usize>; TIERS],
    /// Counts changes of health; shared with the states before and after this one, as their endpoints are.
    changes: Rc<Cell<u64>>,
    summary: Cell<Summary>,
}

/// What follows from the health of all endpoints together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    /// The value of the change counter that this was computed at.
    pub(crate) changes: u64,
    /// Health is ignored.
    pub(crate) panic: bool,
    /// Until when some endpoint has less than its weight.
    pub(crate) warm_at_ns: u64,
    /// Parts of [`crate::upstream::zone::WHOLE`] that stay in the local zone, where zones matter.
    pub(crate) local_share: Option<u64>,
}

impl State {
    /// Begin with all endpoints healthy and no requests. `seed` decides where rounds begin: workers should differ.
    #[must_use]
    pub fn new(balancer: &Balancer, now_ns: u64, seed: u64) -> Self {
        let live = balancer.endpoints().iter().map(|_| Rc::new(Live::new(now_ns))).collect();
        Self::with(balancer, live, Rc::new(Cell::new(1)), seed)
    }

    /// Go on with a new configuration. `moved` says which endpoint of the old one each new one was, as
    /// [`Balancer::moved_from`] does; endpoints that were not there join healthy at `now_ns`.
    #[must_use]
    pub fn following(&self, balancer: &Balancer, moved: &[Option<usize>], now_ns: u64) -> Self {
        let old = |index: usize| self.live.get((*moved.get(index)?)?).cloned();
        let live = (0..balancer.endpoints().len())
            .map(|index| old(index).unwrap_or_else(|| Rc::new(Live::new(now_ns))))
            .collect();
        Self::with(balancer, live, Rc::clone(&self.changes), self.turns[0].get() as u64)
    }

    fn with(balancer: &Balancer, live: Box<[Rc<Live>]>, changes: Rc<Cell<u64>>, seed: u64) -> Self {
        let decay_ns = if let Policy::PeakEwma { decay_ns } = balancer.settings().policy { decay_ns } else { 0 };
        for each in &live {
            each.latency.set_decay(decay_ns);
        }
        let turn = (seed % (live.len() as u64).max(1)) as usize;
        Self { live, turns: std::array::from_fn(|_| Cell::new(turn)), changes, summary: Cell::default() }
    }

    /// The endpoint of that index, to count requests and latencies on.
    #[must_use]
    pub fn live(&self, index: usize) -> Option<&Rc<Live>> {
        self.live.get(index)
    }

    /// Mark an endpoint as healthy (by active checks, and not ejected) or not. One that becomes healthy starts slowly.
    pub fn set_healthy(&self, index: usize, healthy: bool, now_ns: u64) {
        let Some(live) = self.live.get(index) else { return };
        if live.healthy.replace(healthy) != healthy {
            if healthy {
                live.since_ns.set(now_ns);
            }
            self.changes.set(self.changes.get().wrapping_add(1));
        }
    }

    /// How many endpoints are healthy.
    #[must_use]
    pub fn healthy(&self) -> usize {
        self.live.iter().filter(|live| live.healthy.get()).count()
    }

    /// The summary, computed again if the health of an endpoint changed since.
    pub(crate) fn summary(&self, compute: impl FnOnce() -> Summary) -> Summary {
        let summary = self.summary.get();
        let changes = self.changes.get();
        if summary.changes == changes {
            return summary;
        }
        let summary = Summary { changes, ..compute() };
        self.summary.set(summary);
        summary
    }

    pub(crate) fn turn(&self, tier: Tier) -> &Cell<usize> {
        &self.turns[tier as usize]
    }
}
