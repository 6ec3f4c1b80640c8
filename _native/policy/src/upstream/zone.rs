//! How much of the traffic stays in the zone of the gateway.
//!
//! Source: Envoy, "Zone aware routing". Where the local zone has at least as large a share of the healthy capacity as it
//! has of the callers, everything stays; otherwise as much as keeps every endpoint equally loaded, and the rest is
//! spread over all other zones by weight (Envoy weighs zones by what they have left over, for which it must know the
//! callers of each zone).

use std::sync::Arc;

/// Shares are counted in parts of this.
pub(crate) const WHOLE: u64 = 10_000;

/// Where this gateway runs and how many others there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality {
    /// Zone of this gateway.
    pub zone: Arc<str>,
    /// Replicas of the gateway in this zone, itself included.
    pub callers: u32,
    /// Replicas of the gateway in all zones.
    pub all_callers: u32,
    /// Fewest healthy endpoints of a cluster for which zones matter; Envoy's `min_cluster_size` is 6 by default.
    pub min_endpoints: u32,
}

impl Locality {
    /// Parts of [`WHOLE`] that stay local, given the weights of the healthy endpoints here and everywhere.
    pub(crate) fn local_share(&self, local: u64, all: u64) -> u64 {
        let capacity = u128::from(local) * u128::from(self.all_callers);
        let demand = u128::from(all) * u128::from(self.callers);
        if local == 0 {
            0
        } else if capacity >= demand {
            WHOLE
        } else {
            // Below the whole, as capacity is below demand.
            (u128::from(WHOLE) * capacity / demand) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (callers, all_callers, local, all, want) in [
            (1, 3, 2, 6, WHOLE),
            (1, 3, 4, 6, WHOLE),
            (1, 3, 1, 6, WHOLE / 2),
            (1, 2, 1, 4, WHOLE / 2),
            (2, 2, 1, 4, WHOLE / 4),
            (1, 3, 0, 6, 0),
            (1, 1, 6, 6, WHOLE),
            (0, 0, 1, 6, WHOLE),
        ] {
            let rule = Locality { zone: "a".into(), callers, all_callers, min_endpoints: 6 };
            assert_eq!(rule.local_share(local, all), want, "{callers}/{all_callers} callers, {local}/{all} capacity");
        }
    }
}
