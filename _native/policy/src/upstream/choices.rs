//! The better of two endpoints drawn at random.
//!
//! Source: Envoy, "Weighted least request" with `choice_count` 2; Mitzenmacher, "The power of two choices in randomized
//! load balancing" (2001).

use crate::rng::Rng;

/// Draws before the eligible candidates are counted instead.
const DRAWS: usize = 4;

/// Draw two different eligible candidates and return the cheaper one; among equals the one drawn first.
pub(crate) fn cheaper_of_two<C: PartialOrd>(
    candidates: &[u32],
    eligible: &dyn Fn(usize) -> bool,
    cost: impl Fn(usize) -> C,
    rng: &mut Rng,
) -> Option<usize> {
    let first = draw(candidates, eligible, rng)?;
    match draw(candidates, &|index| index != first && eligible(index), rng) {
        Some(second) if cost(second) < cost(first) => Some(second),
        _ => Some(first),
    }
}

/// Draw one of the eligible candidates, each with the same probability.
fn draw(candidates: &[u32], eligible: &dyn Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
    let bound = candidates.len() as u64;
    for _ in 0..DRAWS {
        let index = *candidates.get(rng.below(bound) as usize)? as usize;
        if eligible(index) {
            return Some(index);
        }
    }
    let left = || candidates.iter().map(|&index| index as usize).filter(|&index| eligible(index));
    let count = left().count() as u64;
    left().nth(rng.below(count) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_evenly_whoever_is_left() {
        let mut rng = Rng::new(1);
        let candidates: Vec<u32> = (0..50).collect();
        let mut seen = [0_u32; 50];
        for _ in 0..30_000 {
            seen[draw(&candidates, &|index| index % 20 == 7, &mut rng).unwrap()] += 1;
        }
        for at in [7, 27, 47] {
            assert!((9_600..10_400).contains(&seen[at]), "{seen:?}");
        }
        assert_eq!(draw(&candidates, &|_| false, &mut rng), None);
        assert_eq!(draw(&[], &|_| true, &mut rng), None);
    }

    #[test]
    fn the_dearest_never_wins_unless_alone() {
        let mut rng = Rng::new(2);
        for _ in 0..1000 {
            let cost = |index: usize| index;
            assert_ne!(cheaper_of_two(&[0, 1, 2], &|_| true, cost, &mut rng), Some(2));
            assert_eq!(cheaper_of_two(&[0, 1, 2], &|index| index == 2, cost, &mut rng), Some(2));
        }
    }
}
