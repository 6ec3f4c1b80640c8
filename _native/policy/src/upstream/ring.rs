//! Consistent hashing on a ring of 64-bit points.
//!
//! Source: Envoy, "Ring hash" (after ketama): an endpoint owns the points `xxHash64("address_0")`, `"address_1"` and so
//! on; a key belongs to the owner of the next point. Envoy divides a fixed number of points by the number of endpoints,
//! so the points of all change with every one that comes or goes. Here each unit of weight owns as many points as two
//! endpoints need for the smallest ring, and fewer only on large rings: as long as that number stays, removing an
//! endpoint moves only its own keys.

use std::io::Write;
use std::net::SocketAddr;
use twox_hash::XxHash64;

/// Fewest points of a ring (Envoy's `minimum_ring_size`).
pub(crate) const MIN_POINTS: u64 = 1024;
/// Most points of a ring (Envoy's `maximum_ring_size`).
const MAX_POINTS: u64 = 8 << 20;
/// Points that a ring may have before each endpoint gets fewer: half a mebibyte of hashes, built in milliseconds.
const AMPLE_POINTS: u64 = 64 * MIN_POINTS;
/// Points that are asked for an eligible owner before all endpoints are.
pub(crate) const PROBES: usize = 256;

/// An endpoint on a ring or in a table: its index, its address and its weight above 0.
pub(crate) type Member = (u32, SocketAddr, u32);

/// Points in ascending order and their owners.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Box<[u64]>,
    owners: Box<[u32]>,
}

impl Ring {
    /// `members` in order of their addresses: of two equal points the first one's owner comes first, whatever the order
    /// of the endpoints in the configuration.
    pub(crate) fn new(members: &[Member]) -> Self {
        let (numerator, denominator) = scale(members);
        let mut ring: Vec<(u64, u32)> = Vec::new();
        let mut text = Vec::new();
        for &(index, address, weight) in members {
            let points = (u128::from(weight) * numerator + denominator / 2) / denominator;
            for point in 0..points.max(1) {
                text.clear();
                // Writing to a vector does not fail.
                let _ = write!(text, "{address}_{point}");
                ring.push((XxHash64::oneshot(0, &text), index));
            }
        }
        ring.sort_by_key(|&(point, _)| point);
        Self {
            points: ring.iter().map(|&(point, _)| point).collect(),
            owners: ring.iter().map(|&(_, at)| at).collect(),
        }
    }

    /// The owner of the first point at or after `key` whose owner is eligible, among the next [`PROBES`] points.
    pub(crate) fn find(&self, key: u64, eligible: &dyn Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|&point| point < key);
        let owners = self.owners[start..].iter().chain(&self.owners[..start]);
        owners.take(PROBES).map(|&owner| owner as usize).find(|&owner| eligible(owner))
    }
}

/// Points per unit of weight as a fraction.
fn scale(members: &[Member]) -> (u128, u128) {
    let least = members.iter().map(|&(.., weight)| u128::from(weight)).min().unwrap_or(1);
    let total: u128 = members.iter().map(|&(.., weight)| u128::from(weight)).sum();
    let [ample, most] = [AMPLE_POINTS, MAX_POINTS].map(u128::from);
    let each = u128::from(MIN_POINTS) / if members.len() < 2 { 1 } else { 2 };
    if each * total <= ample * least {
        (each, least)
    } else if total <= ample * least {
        (ample, total)
    } else if total <= most * least {
        // The lightest still owns a whole point.
        (1, least)
    } else {
        (most, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: impl IntoIterator<Item = u32>) -> Vec<Member> {
        let addresses = (0_u32..).map(|at| SocketAddr::from(([10, (at >> 16) as u8, (at >> 8) as u8, at as u8], 80)));
        weights.into_iter().zip(addresses).zip(0..).map(|((weight, address), index)| (index, address, weight)).collect()
    }

    #[test]
    fn sizes() {
        for (weights, want) in [
            (vec![1], 1024),
            (vec![7; 2], 1024),
            (vec![1; 3], 1536),
            (vec![1, 3], 2048),
            (vec![100; 128], 65_536),
            (vec![1, 100_000], 100_001),
        ] {
            assert_eq!(Ring::new(&members(weights.clone())).points.len(), want, "{weights:?}");
        }
        let many = Ring::new(&members(vec![1; 1000])).points.len();
        assert!((65_000..=66_000).contains(&many), "{many}");
    }

    #[test]
    fn extreme_weights_stay_within_the_largest_ring() {
        let points = |weights: &[u32]| {
            let (numerator, denominator) = scale(&members(weights.to_vec()));
            weights.iter().map(|&weight| (u128::from(weight) * numerator / denominator).max(1)).sum::<u128>()
        };
        for weights in [&[1, u32::MAX][..], &[1, u32::MAX, u32::MAX], &[1, 8 << 20], &[u32::MAX; 2]] {
            let points = points(weights);
            assert!((1024..=(8 << 20) + 2).contains(&points), "{weights:?}: {points}");
        }
    }

    #[test]
    fn an_empty_ring_has_no_owner() {
        assert_eq!(Ring::new(&[]).find(1, &|_| true), None);
    }
}
