//! Token bucket as a generic cell rate algorithm (ITU-T I.371, virtual scheduling) in one 64-bit word.
//!
//! The word holds the theoretical arrival time (TAT): the moment at which the bucket is full again. Taking `n` tokens
//! moves it `n` emission intervals into the future; a request conforms while the TAT stays within one burst of now.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Longest tolerance that a rate may have, in nanoseconds (146 years): sums with a clock reading stay in 64 bits.
const MAX_TOLERANCE: u64 = 1 << 62;

/// A compiled limit: `rate` tokens per period, at most `burst` of them stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    tokens: u64,
    period_ns: u64,
    burst: u64,
    /// Whole emission interval when the rate divides the period, else 0: the slow path computes increments.
    interval_ns: u64,
    tolerance_ns: u64,
}

/// Outcome of asking for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The tokens were taken.
    Allowed {
        /// Whole tokens that could still be taken now.
        remaining: u64,
    },
    /// Nothing was taken.
    Denied {
        /// Nanoseconds until the same request would be allowed; `u64::MAX` if it never can be.
        retry_after_ns: u64,
    },
}

impl Decision {
    /// Whether the tokens were taken.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

impl Rate {
    /// `rate` tokens per `period_ns` nanoseconds with a bucket of `burst` tokens.
    ///
    /// A rate, period or burst of zero allows nothing. More than one token per nanosecond counts as one per nanosecond.
    #[must_use]
    pub fn new(rate: u64, period_ns: u64, burst: u64) -> Self {
        let period_ns = period_ns.min(MAX_TOLERANCE);
        let rate = rate.min(period_ns);
        if rate == 0 || burst == 0 {
            return Self { tokens: 0, period_ns, burst: 0, interval_ns: 0, tolerance_ns: 0 };
        }
        let divides = period_ns.is_multiple_of(rate);
        let whole = (u128::from(burst) * u128::from(period_ns)).div_ceil(u128::from(rate));
        // Increments of a rate that does not divide its period are rounded up to twice on the way through a burst;
        // without this nanosecond the last token of a full bucket would be refused.
        let whole = if divides { whole } else { whole + 1 };
        Self {
            tokens: rate,
            period_ns,
            burst,
            interval_ns: if divides { period_ns / rate } else { 0 },
            tolerance_ns: u64::try_from(whole).map_or(MAX_TOLERANCE, |ns| ns.min(MAX_TOLERANCE)),
        }
    }

    /// Most tokens that one call can take.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// The three numbers that identify the limit: tokens, period in nanoseconds, burst.
    #[must_use]
    pub fn parts(&self) -> [u64; 3] {
        [self.tokens, self.period_ns, self.burst]
    }

    /// How far `n` tokens move a TAT that stands at `at`.
    ///
    /// Token `j` of an ideal schedule leaves at `ceil(j * period / rate)`. The increment is the distance between two
    /// points of that schedule next to `at`, so rounding errors cancel over a period and never add up.
    fn increment(&self, at: u64, n: u64) -> u64 {
        if self.interval_ns != 0 {
            return self.interval_ns.saturating_mul(n);
        }
        let (rate, period) = (u128::from(self.tokens), u128::from(self.period_ns));
        // The schedule repeats every period, which keeps the products far below 128 bits.
        let token = u128::from(at % self.period_ns) * rate / period;
        let leaves = |index: u128| (index * period).div_ceil(rate);
        u64::try_from(leaves(token + u128::from(n)) - leaves(token)).unwrap_or(u64::MAX)
    }

    /// Whole tokens in `ns` nanoseconds of credit.
    fn tokens_in(&self, ns: u64) -> u64 {
        if let Some(tokens) = ns.checked_div(self.interval_ns) {
            return tokens;
        }
        u64::try_from(u128::from(ns) * u128::from(self.tokens) / u128::from(self.period_ns)).unwrap_or(u64::MAX)
    }

    /// What taking `n` tokens at `now_ns` from a bucket with this TAT gives: the new TAT, or why not.
    fn judge(&self, tat: u64, now_ns: u64, n: u64) -> Result<(u64, u64), u64> {
        if n > self.burst || self.tokens == 0 {
            return Err(u64::MAX);
        }
        let base = tat.max(now_ns);
        let next = base.saturating_add(self.increment(base, n));
        let used = next - now_ns;
        if used > self.tolerance_ns {
            return Err(used - self.tolerance_ns);
        }
        Ok((next, self.tokens_in(self.tolerance_ns - used)))
    }
}

/// Take `n` tokens from the bucket in `cell` at `now_ns` (monotonic nanoseconds, one clock for all users of the cell).
///
/// A cell of 0 is a full bucket. The word is the whole state, so relaxed ordering is enough; a lost race repeats with
/// the winner's value, which makes the total exact across threads and processes.
pub fn take(cell: &AtomicU64, now_ns: u64, n: u64, rate: &Rate) -> Decision {
    let mut tat = cell.load(Relaxed);
    loop {
        match rate.judge(tat, now_ns, n) {
            Err(retry_after_ns) => return Decision::Denied { retry_after_ns },
            Ok((next, remaining)) => match cell.compare_exchange_weak(tat, next, Relaxed, Relaxed) {
                Ok(_) => return Decision::Allowed { remaining },
                Err(current) => tat = current,
            },
        }
    }
}

/// What [`take`] would answer, without taking.
pub fn peek(cell: &AtomicU64, now_ns: u64, n: u64, rate: &Rate) -> Decision {
    match rate.judge(cell.load(Relaxed), now_ns, n) {
        Ok((_, remaining)) => Decision::Allowed { remaining },
        Err(retry_after_ns) => Decision::Denied { retry_after_ns },
    }
}
