//! A rate of bytes that a body may flow at.
//!
//! Source: Envoy, "Bandwidth limit": a token bucket that holds what the rate gives in one interval of 50 ms. The level
//! is kept in byte-nanoseconds, so nothing is lost to rounding.

const SECOND: u128 = 1_000_000_000;
/// Time whose bytes the bucket holds, in nanoseconds.
const INTERVAL: u128 = 50_000_000;

/// A bucket of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    bytes_per_second: u64,
    /// Bytes stored, times [`SECOND`].
    level: u128,
    at_ns: u64,
}

/// What may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Bytes that may pass now; they have been taken.
    pub bytes: u64,
    /// When to ask again for what is left, at the earliest; `None` if nothing is left. `u64::MAX` is never.
    pub wake_ns: Option<u64>,
}

impl Bandwidth {
    /// A full bucket. It holds at least one byte.
    #[must_use]
    pub fn new(bytes_per_second: u64, now_ns: u64) -> Self {
        let mut bucket = Self { bytes_per_second, level: 0, at_ns: now_ns };
        bucket.level = bucket.full();
        bucket
    }

    fn full(&self) -> u128 {
        (u128::from(self.bytes_per_second) * INTERVAL).max(SECOND)
    }

    /// Take up to `bytes` at `now_ns`. Who has to wait is woken for a full bucket, or for all that is left if that is
    /// less: not for every byte.
    pub fn take(&mut self, bytes: u64, now_ns: u64) -> Passage {
        let rate = u128::from(self.bytes_per_second);
        if rate == 0 {
            return Passage { bytes: 0, wake_ns: (bytes > 0).then_some(u64::MAX) };
        }
        let full = self.full();
        let passed = now_ns.saturating_sub(self.at_ns);
        self.level = full.min(self.level.saturating_add(u128::from(passed) * rate));
        self.at_ns = self.at_ns.max(now_ns);
        let granted = u128::from(bytes).min(self.level / SECOND);
        self.level -= granted * SECOND;
        // Both fit, as they are not more than `bytes`.
        let (granted, left) = (granted as u64, u128::from(bytes) - granted);
        let wanted = (left * SECOND).min(full / SECOND * SECOND);
        let wait = wanted.saturating_sub(self.level).div_ceil(rate);
        let wake_ns = u64::try_from(u128::from(self.at_ns) + wait).unwrap_or(u64::MAX);
        Passage { bytes: granted, wake_ns: (left > 0).then_some(wake_ns) }
    }
}
