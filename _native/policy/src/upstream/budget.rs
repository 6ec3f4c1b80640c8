//! How many retries may be under way at once, so that retries do not multiply the load of a cluster that fails.
//!
//! Source: Envoy, `CircuitBreakers.Thresholds.RetryBudget`.

/// A share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Percent of the requests under way that may be retries.
    pub percent: u32,
    /// Retries that may be under way in any case.
    pub min_concurrent: u64,
}

impl Default for RetryBudget {
    /// Envoy's defaults: 20 percent, at least 3.
    fn default() -> Self {
        Self { percent: 20, min_concurrent: 3 }
    }
}

impl RetryBudget {
    /// Whether one more retry may start beside `retries` that are under way, among `active` requests (those that wait
    /// for a connection and the retries included).
    #[must_use]
    pub fn allows(&self, active: u64, retries: u64) -> bool {
        let share = u128::from(active) * u128::from(self.percent) / 100;
        u128::from(retries) < share.max(u128::from(self.min_concurrent))
    }
}
