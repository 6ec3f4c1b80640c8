//! Choosing an endpoint.
//!
//! Source: Envoy, "Supported load balancers". Envoy compiles its tables again when the health of an endpoint changes;
//! here a table holds all endpoints, and a key whose owner cannot be used moves on along the ring or the table. That
//! costs nothing while all is well, and the keys of healthy endpoints stay where they are.

use crate::rng::Rng;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::maglev::Maglev;
use crate::upstream::panic::is_panic;
use crate::upstream::ring::{Member, Ring};
use crate::upstream::state::{State, Summary};
use crate::upstream::tiers::{Tier, Tiers};
use crate::upstream::turn::Turn;
use crate::upstream::zone::Locality;
use std::net::SocketAddr;

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// In turns, heavier endpoints more often.
    #[default]
    RoundRobin,
    /// The one of two random endpoints with fewer requests of this worker under way. With unequal weights, turns by
    /// `weight / (active + 1)`, as Envoy with `active_request_bias` 1.
    LeastRequest,
    /// The one of two random endpoints with the lower product of latency and requests under way, divided by weight.
    PeakEwma {
        /// Time constant of the moving latency in nanoseconds.
        decay_ns: u64,
    },
    /// The owner of the key on a ring.
    RingHash,
    /// The owner of the key in a table.
    Maglev,
}

/// The rules of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How an endpoint is chosen.
    pub policy: Policy,
    /// Health is ignored while fewer than so many percent of the endpoints are healthy; 0 never ignores it.
    pub panic_percent: u8,
    /// Time over which a new endpoint gets its full weight, in nanoseconds; 0 at once. Hash policies know no slow start.
    pub slow_start_ns: u64,
    /// Prefer the zone of the gateway. Hash policies do not look at zones.
    pub locality: Option<Locality>,
}

impl Default for Settings {
    /// Envoy's defaults.
    fn default() -> Self {
        Self { policy: Policy::default(), panic_percent: 50, slow_start_ns: 0, locality: None }
    }
}

#[derive(Debug)]
enum Table {
    None,
    Ring(Ring),
    Maglev(Maglev),
}

/// The endpoints of a cluster, compiled for one policy.
#[derive(Debug)]
pub struct Balancer {
    endpoints: Box<[Endpoint]>,
    settings: Settings,
    /// Indices in order of addresses.
    by_address: Box<[u32]>,
    pub(crate) tiers: Tiers,
    /// All endpoints that get requests have the same weight.
    pub(crate) equal: bool,
    table: Table,
}

impl Balancer {
    /// Compile. Endpoints are named by their index from here on.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, settings: Settings) -> Self {
        let mut by_address: Box<[u32]> = (0..endpoints.len() as u32).collect();
        by_address.sort_by_key(|&index| endpoints[index as usize].address);
        let members = || -> Vec<Member> {
            let all = by_address.iter().map(|&index| (index, &endpoints[index as usize]));
            all.filter(|(_, each)| each.weight > 0).map(|(index, each)| (index, each.address, each.weight)).collect()
        };
        let table = match settings.policy {
            Policy::RingHash => Table::Ring(Ring::new(&members())),
            Policy::Maglev => Table::Maglev(Maglev::new(&members())),
            Policy::RoundRobin | Policy::LeastRequest | Policy::PeakEwma { .. } => Table::None,
        };
        let tiers = Tiers::new(&endpoints, settings.locality.as_ref().map(|here| &*here.zone));
        let mut weights = tiers.get(Tier::All).iter().map(|&index| endpoints[index as usize].weight);
        let first = weights.next();
        let equal = weights.all(|weight| Some(weight) == first);
        Self { endpoints: endpoints.into(), settings, by_address, tiers, equal, table }
    }

    /// The endpoints, in the order given.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The rules compiled in.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// For each endpoint, the index that its address had in an older configuration.
    #[must_use]
    pub fn moved_from(&self, older: &Self) -> Vec<Option<usize>> {
        let find = |address: SocketAddr| {
            let order = &older.by_address;
            let at = order.binary_search_by_key(&address, |&index| older.endpoints[index as usize].address).ok()?;
            Some(order[at] as usize)
        };
        self.endpoints.iter().map(|endpoint| find(endpoint.address)).collect()
    }

    /// Choose an endpoint at `now_ns`.
    ///
    /// `key` is what hash policies look for; without one they take a random key. `avoid` holds for endpoints that this
    /// request should not get, having failed there: they are taken only where no other is left (Envoy, "Retry host
    /// predicate"). `None` means that no endpoint is healthy and none may be used regardless.
    pub fn pick(
        &self,
        state: &State,
        now_ns: u64,
        key: Option<u64>,
        avoid: impl Fn(usize) -> bool,
        rng: &mut Rng,
    ) -> Option<usize> {
        let summary = state.summary(|| self.summarise(state));
        let turn = Turn { balancer: self, state, summary, now_ns };
        let usable = |index: usize| {
            self.endpoints[index].weight > 0
                && state.live(index).is_some_and(|live| summary.panic || live.healthy.get())
        };
        let choose = |eligible: &dyn Fn(usize) -> bool, rng: &mut Rng| match &self.table {
            Table::None => turn.of_a_tier(eligible, rng),
            Table::Ring(ring) => {
                let key = key.unwrap_or_else(|| rng.next_u64());
                ring.find(key, eligible).or_else(|| self.any(key, eligible))
            }
            Table::Maglev(table) => {
                let key = key.unwrap_or_else(|| rng.next_u64());
                table.find(key, eligible).or_else(|| self.any(key, eligible))
            }
        };
        choose(&|index| usable(index) && !avoid(index), rng).or_else(|| choose(&usable, rng))
    }

    /// The first eligible endpoint from a place that the key decides on, in order of addresses.
    fn any(&self, key: u64, eligible: &dyn Fn(usize) -> bool) -> Option<usize> {
        let start = (key % (self.by_address.len() as u64).max(1)) as usize;
        let (before, after) = self.by_address.split_at_checked(start)?;
        after.iter().chain(before).map(|&index| index as usize).find(|&index| eligible(index))
    }

    fn summarise(&self, state: &State) -> Summary {
        let all = self.tiers.get(Tier::All);
        let healthy = |index: &&u32| state.live(**index as usize).is_some_and(|live| live.healthy.get());
        let weight = |tier: Tier| -> u64 {
            let members = self.tiers.get(tier).iter().filter(healthy);
            members.map(|&index| u64::from(self.endpoints[index as usize].weight)).sum()
        };
        let count = all.iter().filter(healthy).count();
        let panic = is_panic(count, all.len(), self.settings.panic_percent);
        let zones_matter = |here: &&Locality| !panic && count as u64 >= u64::from(here.min_endpoints);
        let window_ns = self.settings.slow_start_ns;
        let joined = all.iter().filter_map(|&index| Some(state.live(index as usize)?.since_ns.get()));
        Summary {
            changes: 0,
            panic,
            warm_at_ns: joined.max().filter(|_| window_ns > 0).map_or(0, |last| last.saturating_add(window_ns)),
            local_share: (self.settings.locality.as_ref().filter(zones_matter))
                .map(|here| here.local_share(weight(Tier::Local), weight(Tier::All))),
        }
    }
}
