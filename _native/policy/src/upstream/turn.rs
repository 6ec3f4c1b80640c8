//! One choice of a policy that has no table: by turns, requests or latencies.

use crate::rng::Rng;
use crate::upstream::balance::{Balancer, Policy};
use crate::upstream::choices::cheaper_of_two;
use crate::upstream::endpoint::Live;
use crate::upstream::slow_start::effective;
use crate::upstream::smooth;
use crate::upstream::state::{State, Summary};
use crate::upstream::tiers::Tier;
use crate::upstream::zone::WHOLE;

/// One choice of a policy without a table.
pub(crate) struct Turn<'t> {
    pub(crate) balancer: &'t Balancer,
    pub(crate) state: &'t State,
    pub(crate) summary: Summary,
    pub(crate) now_ns: u64,
}

impl<'t> Turn<'t> {
    /// An eligible endpoint of the tier that the zones call for, or of all where that tier has none.
    pub(crate) fn of_a_tier(&self, eligible: &dyn Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
        let tier = match self.summary.local_share {
            None => Tier::All,
            Some(WHOLE) => Tier::Local,
            Some(share) if rng.below(WHOLE) < share => Tier::Local,
            Some(_) => Tier::Remote,
        };
        let chosen = self.within(tier, eligible, rng);
        if tier == Tier::All { chosen } else { chosen.or_else(|| self.within(Tier::All, eligible, rng)) }
    }

    fn within(&self, tier: Tier, eligible: &dyn Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
        let candidates = self.balancer.tiers.get(tier);
        let plain = self.balancer.equal && self.now_ns >= self.summary.warm_at_ns;
        match self.balancer.settings().policy {
            Policy::PeakEwma { .. } => {
                let cost = |index| {
                    self.live(index)
                        .map(|live| live.latency.cost(live.active(), self.now_ns) / self.weight(index) as f64)
                };
                cheaper_of_two(candidates, eligible, cost, rng)
            }
            Policy::LeastRequest if plain => {
                cheaper_of_two(candidates, eligible, |index| self.live(index).map(Live::active), rng)
            }
            Policy::LeastRequest => self.smooth(candidates, eligible, |index| {
                let active = self.live(index).map_or(0, Live::active);
                (self.weight(index) / (u64::from(active) + 1)).max(1)
            }),
            _ if plain => self.next(tier, candidates, eligible),
            _ => self.smooth(candidates, eligible, |index| self.weight(index)),
        }
    }

    fn next(&self, tier: Tier, candidates: &[u32], eligible: &dyn Fn(usize) -> bool) -> Option<usize> {
        let turn = self.state.turn(tier);
        let (before, after) = candidates.split_at(turn.get().min(candidates.len()));
        let mut order = after.iter().chain(before).map(|&index| index as usize);
        let step = order.position(eligible)?;
        let at = (before.len() + step) % candidates.len();
        turn.set(at + 1);
        Some(candidates[at] as usize)
    }

    fn smooth(
        &self,
        candidates: &[u32],
        eligible: &dyn Fn(usize) -> bool,
        weight: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let weight = |index: usize| if eligible(index) { weight(index) } else { 0 };
        smooth::turn(candidates, weight, |index| self.live(index).map(|live| &live.standing))
    }

    fn live(&self, index: usize) -> Option<&'t Live> {
        self.state.live(index).map(|live| &**live)
    }

    fn weight(&self, index: usize) -> u64 {
        let since_ns = self.live(index).map_or(0, |live| live.since_ns.get());
        effective(
            self.balancer.endpoints()[index].weight,
            since_ns,
            self.now_ns,
            self.balancer.settings().slow_start_ns,
        )
    }
}
