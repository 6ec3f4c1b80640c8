//! Consistent hashing by a table of fixed size.
//!
//! Source: Envoy, "Maglev"; Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (2016),
//! section 3.4, with Envoy's extension for weights. A table costs 128 KiB whatever the number of endpoints.

use crate::upstream::ring::{Member, PROBES};
use std::net::SocketAddr;
use twox_hash::XxHash64;

/// Slots of the table: Envoy's default, a prime.
pub(crate) const SLOTS: usize = 65_537;
/// A slot that nobody owns yet. Endpoints from here on would not get a slot anyway.
const FREE: u16 = u16::MAX;

/// Owner of each slot; no slots without members.
#[derive(Debug)]
pub(crate) struct Maglev(Box<[u16]>);

/// The order in which an endpoint asks for slots: a walk over all of them, as their number is prime.
struct Walk {
    at: usize,
    step: usize,
}

impl Walk {
    fn new(address: SocketAddr) -> Self {
        let name = address.to_string();
        let hash = |seed: u64, bound: usize| (XxHash64::oneshot(seed, name.as_bytes()) % bound as u64) as usize;
        Self { at: hash(0, SLOTS), step: hash(1, SLOTS - 1) + 1 }
    }

    fn next(&mut self) -> usize {
        let slot = self.at;
        self.at = (self.at + self.step) % SLOTS;
        slot
    }
}

impl Maglev {
    /// `members` in order of their addresses, so that the table does not depend on the order of the configuration.
    pub(crate) fn new(members: &[Member]) -> Self {
        let heaviest = members.iter().map(|&(.., weight)| u64::from(weight)).max().unwrap_or(1);
        let mut walks: Vec<(u16, u64, u64, Walk)> = members
            .iter()
            .filter_map(|&(index, address, weight)| {
                let index = u16::try_from(index).ok().filter(|&index| index != FREE)?;
                Some((index, u64::from(weight), 0, Walk::new(address)))
            })
            .collect();
        if walks.is_empty() {
            return Self(Box::default());
        }
        let mut slots = vec![FREE; SLOTS];
        let mut free = SLOTS;
        // In round n an endpoint is owed `n * weight / heaviest` slots, rounded down from the next whole one.
        for round in 1_u64.. {
            for (index, weight, granted, walk) in &mut walks {
                if round * *weight < *granted * heaviest {
                    continue;
                }
                *granted += 1;
                let slot = loop {
                    let slot = walk.next();
                    if slots[slot] == FREE {
                        break slot;
                    }
                };
                slots[slot] = *index;
                free -= 1;
                if free == 0 {
                    return Self(slots.into());
                }
            }
        }
        Self(slots.into())
    }

    /// The owner of the slot of `key`, or of the first slot after it whose owner is eligible, among [`PROBES`] slots.
    pub(crate) fn find(&self, key: u64, eligible: &dyn Fn(usize) -> bool) -> Option<usize> {
        let start = (key % SLOTS as u64) as usize;
        let (before, after) = self.0.split_at_checked(start)?;
        after.iter().chain(before).take(PROBES).map(|&owner| usize::from(owner)).find(|&owner| eligible(owner))
    }
}
