//! The endpoints in an order that makes those of the local zone, and those of all other zones, one slice each.

use crate::upstream::endpoint::Endpoint;

/// A part of the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    All,
    Local,
    Remote,
}

/// Number of [`Tier`]s.
pub(crate) const TIERS: usize = 3;

/// Indices of the endpoints, local ones first.
#[derive(Debug)]
pub(crate) struct Tiers {
    order: Box<[u32]>,
    local: usize,
}

impl Tiers {
    /// Endpoints of weight 0 are in no tier.
    pub(crate) fn new(endpoints: &[Endpoint], zone: Option<&str>) -> Self {
        let is_local = |endpoint: &Endpoint| zone.is_some() && endpoint.zone.as_deref() == zone;
        let part = |local: bool| {
            let members = endpoints.iter().zip(0_u32..);
            members.filter_map(move |(each, index)| (each.weight > 0 && is_local(each) == local).then_some(index))
        };
        let local = part(true).count();
        Self { order: part(true).chain(part(false)).collect(), local }
    }

    pub(crate) fn get(&self, tier: Tier) -> &[u32] {
        match tier {
            Tier::All => &self.order,
            Tier::Local => &self.order[..self.local],
            Tier::Remote => &self.order[self.local..],
        }
    }
}
