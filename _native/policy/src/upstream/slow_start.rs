//! The weight of an endpoint that has just joined or become healthy.
//!
//! Source: Envoy, "Slow start mode" with aggression 1: `weight * max(10 %, time / window)`.

/// Effective weights are counted in thousandths.
pub(crate) const SCALE: u64 = 1000;
/// Least factor: 10 percent.
const LEAST: u64 = SCALE / 10;

/// Effective weight, [`SCALE`] times the weight once the window has passed. A window of 0 is no slow start.
pub(crate) fn effective(weight: u32, since_ns: u64, now_ns: u64, window_ns: u64) -> u64 {
    let passed = now_ns.saturating_sub(since_ns);
    let factor = if passed >= window_ns {
        SCALE
    } else {
        // Below the scale, as the time passed is below the window.
        ((u128::from(passed) * u128::from(SCALE) / u128::from(window_ns)) as u64).max(LEAST)
    };
    u64::from(weight) * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_linearly_from_a_tenth() {
        for (now, want) in [
            (0, 200),
            (100, 200),
            (105, 200),
            (110, 200),
            (120, 400),
            (150, 1000),
            (199, 1980),
            (200, 2000),
            (900, 2000),
        ] {
            assert_eq!(effective(2, 100, now, 100), want, "{now}");
        }
        assert_eq!(effective(2, 100, 100, 0), 2000);
        assert_eq!(effective(u32::MAX, 0, u64::MAX - 1, u64::MAX), u64::from(u32::MAX) * 999);
    }
}
