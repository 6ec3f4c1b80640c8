//! How long to wait before another attempt.
//!
//! Source: Envoy, router filter, `x-envoy-retry-on`: fully jittered exponential back-off, the retry `N` waits for a
//! random time below `(2^N - 1) * base`, at most the maximum.

/// The two ends of the back-off, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait.
    pub base_ns: u64,
    /// Bound of every wait.
    pub max_ns: u64,
}

impl Default for Backoff {
    /// Envoy's defaults: 25 ms and ten times that.
    fn default() -> Self {
        Self { base_ns: 25_000_000, max_ns: 250_000_000 }
    }
}

impl Backoff {
    /// The wait before a retry, the first being 1, given 64 random bits.
    #[must_use]
    pub fn delay_ns(&self, retry: u32, random: u64) -> u64 {
        let steps = 1_u64.checked_shl(retry).map_or(u64::MAX, |power| power - 1);
        let bound = self.base_ns.saturating_mul(steps).min(self.max_ns);
        ((u128::from(random) * u128::from(bound)) >> 64) as u64
    }
}
