//! Weighted round robin that spreads the turns of a heavy endpoint over the cycle.
//!
//! Source: nginx, "smooth weighted round-robin": every candidate gains its weight, the highest standing wins and pays
//! the sum of the weights. Over a cycle of as many turns as the sum, each gets exactly its weight. A turn looks at every
//! candidate, in exchange weights may change and candidates may come and go between any two turns.

use std::cell::Cell;

/// The candidate whose turn it is. Those of weight 0 are skipped; among equals the first wins.
pub(crate) fn turn<'s>(
    candidates: &[u32],
    weight: impl Fn(usize) -> u64,
    standing: impl Fn(usize) -> Option<&'s Cell<i64>>,
) -> Option<usize> {
    let mut total = 0_i64;
    let mut best: Option<(i64, &Cell<i64>, usize)> = None;
    for index in candidates.iter().map(|&index| index as usize) {
        let weight = i64::try_from(weight(index)).unwrap_or(i64::MAX);
        let Some(cell) = standing(index).filter(|_| weight > 0) else { continue };
        let raised = cell.get().saturating_add(weight);
        cell.set(raised);
        total = total.saturating_add(weight);
        if best.is_none_or(|(highest, ..)| raised > highest) {
            best = Some((raised, cell, index));
        }
    }
    let (highest, cell, index) = best?;
    cell.set(highest.saturating_sub(total));
    Some(index)
}
