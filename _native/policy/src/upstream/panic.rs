//! When so few endpoints are healthy that health is ignored.
//!
//! Source: Envoy, "Panic threshold": a few endpoints that got all the load would fail too, and a check that fails
//! everywhere says more about the check.

/// Whether fewer than `percent` of `all` endpoints are healthy. 0 percent is never.
pub(crate) fn is_panic(healthy: usize, all: usize, percent: u8) -> bool {
    (healthy as u128) * 100 < (all as u128) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold() {
        for (healthy, all, percent, want) in [
            (2, 4, 50, false),
            (1, 4, 50, true),
            (0, 4, 50, true),
            (0, 4, 0, false),
            (4, 4, 100, false),
            (3, 4, 100, true),
            (0, 0, 50, false),
        ] {
            assert_eq!(is_panic(healthy, all, percent), want, "{healthy} of {all}, {percent} %");
        }
    }
}
