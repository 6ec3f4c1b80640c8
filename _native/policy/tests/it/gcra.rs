use proptest::prelude::*;
use sluice_policy::gcra::{Decision, Rate, peek, take};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;

/// The textbook token bucket in exact rationals: the level is kept in units of `1 / period` tokens.
struct Bucket {
    level: u128,
    at: u64,
    rate: u64,
    period: u64,
    burst: u64,
}

impl Bucket {
    fn new(rate: u64, period: u64, burst: u64) -> Self {
        Self { level: u128::from(burst) * u128::from(period), at: 0, rate, period, burst }
    }

    fn take(&mut self, now: u64, n: u64) -> Result<u64, u64> {
        let full = u128::from(self.burst) * u128::from(self.period);
        self.level = full.min(self.level + u128::from(now - self.at) * u128::from(self.rate));
        self.at = now;
        let wanted = u128::from(n) * u128::from(self.period);
        if n > self.burst {
            return Err(u64::MAX);
        }
        if wanted > self.level {
            return Err(u64::try_from((wanted - self.level).div_ceil(u128::from(self.rate))).unwrap());
        }
        self.level -= wanted;
        Ok(u64::try_from(self.level / u128::from(self.period)).unwrap())
    }
}

fn outcome(decision: Decision) -> Result<u64, u64> {
    match decision {
        Decision::Allowed { remaining } => Ok(remaining),
        Decision::Denied { retry_after_ns } => Err(retry_after_ns),
    }
}

proptest! {
    /// A rate that divides its period has no rounding at all: the word and the rationals agree in everything.
    #[test]
    fn equals_the_bucket_when_the_rate_divides(
        rate in 1_u64..5_000,
        interval in 1_u64..3_000_000,
        burst in 1_u64..100,
        steps in proptest::collection::vec((0_u64..10_000_000, 0_u64..8), 1..200),
    ) {
        let limit = Rate::new(rate, rate * interval, burst);
        let mut bucket = Bucket::new(rate, rate * interval, burst);
        let cell = AtomicU64::new(0);
        let mut now = 1;
        for (gap, n) in steps {
            now += gap;
            prop_assert_eq!(outcome(take(&cell, now, n, &limit)), bucket.take(now, n));
        }
    }

    /// Otherwise a decision may differ only when it is within a few nanoseconds of the other one.
    #[test]
    fn stays_beside_the_bucket_when_it_does_not(
        rate in 1_u64..2_000_000,
        period in 100_000_000_u64..10_000_000_000,
        burst in 1_u64..1000,
        seed in any::<u64>(),
    ) {
        let limit = Rate::new(rate, period, burst);
        let cell = AtomicU64::new(0);
        let mut rng = sluice_policy::Rng::new(seed);
        let mut bucket = Bucket::new(rate, period, burst);
        let mut now = 1;
        for _ in 0..300 {
            now += rng.below(2 * period / rate + 2);
            let n = 1 + rng.below(3);
            match (peek(&cell, now, n, &limit), n > burst) {
                (Decision::Denied { retry_after_ns }, true) => prop_assert_eq!(retry_after_ns, u64::MAX),
                (Decision::Denied { retry_after_ns }, false) if retry_after_ns > 8 => {
                    let wait = bucket.take(now, n);
                    prop_assert!(wait.is_err_and(|wait| wait.abs_diff(retry_after_ns) <= 8), "{:?} {}", wait, retry_after_ns);
                }
                _ => {
                    // Too close to call: the two states may part here, which ends the comparison.
                    match (bucket.take(now, n), take(&cell, now, n, &limit)) {
                        (Ok(_), Decision::Allowed { .. }) => {}
                        (Err(wait), Decision::Allowed { .. }) => {
                            prop_assert!(wait <= 8, "allowed {} ns too early", wait);
                            return Ok(());
                        }
                        (_, Decision::Denied { retry_after_ns }) => {
                            prop_assert!(retry_after_ns <= 8, "denied for {} ns", retry_after_ns);
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// A fresh bucket gives its whole burst at once, in pieces of any size, and nothing more.
    #[test]
    fn gives_the_whole_burst(rate in 1_u64..1_000_000, period in 1_000_000_000_u64..100_000_000_000, burst in 1_u64..2_000, now in 1..u64::MAX / 4) {
        let limit = Rate::new(rate, period, burst);
        let cell = AtomicU64::new(0);
        for left in (0..burst).rev() {
            prop_assert_eq!(outcome(take(&cell, now, 1, &limit)), Ok(left));
        }
        prop_assert!(!take(&cell, now, 1, &limit).is_allowed());
        prop_assert!(take(&AtomicU64::new(0), now, burst, &limit).is_allowed());
    }
}

#[test]
fn does_not_drift() {
    for (rate, period) in [(3, SECOND), (7, SECOND), (999_983, SECOND), (1_000_003, 60 * SECOND), (600_000_001, SECOND)]
    {
        let limit = Rate::new(rate, period, 1);
        let cell = AtomicU64::new(0);
        let start = 77_777_777_777;
        let mut now = start;
        let tokens = 2_000_000_u64;
        for _ in 0..tokens {
            if let Decision::Denied { retry_after_ns } = take(&cell, now, 1, &limit) {
                now += retry_after_ns;
                assert!(take(&cell, now, 1, &limit).is_allowed(), "the wait was too short");
            }
        }
        let exact = u128::from(tokens - 1) * u128::from(period) / u128::from(rate);
        let error = (i128::from(now - start) - i128::try_from(exact).unwrap()).abs();
        assert!(error <= 4, "{rate} per {period}: off by {error} ns after {tokens} tokens");
    }
}

#[test]
fn edges() {
    let cell = AtomicU64::new(0);
    for nothing in [Rate::new(0, SECOND, 5), Rate::new(5, SECOND, 0), Rate::new(5, 0, 5)] {
        for n in [0, 1, u64::MAX] {
            assert_eq!(take(&cell, 1, n, &nothing), Decision::Denied { retry_after_ns: u64::MAX });
        }
    }
    let limit = Rate::new(1, 3600 * SECOND, 2);
    assert_eq!(take(&cell, SECOND, 3, &limit), Decision::Denied { retry_after_ns: u64::MAX });
    assert_eq!(take(&cell, SECOND, 0, &limit), Decision::Allowed { remaining: 2 });
    assert_eq!(take(&cell, SECOND, 2, &limit), Decision::Allowed { remaining: 0 });
    assert_eq!(take(&cell, SECOND, 1, &limit), Decision::Denied { retry_after_ns: 3600 * SECOND });
    assert_eq!(peek(&cell, 3601 * SECOND, 1, &limit), Decision::Allowed { remaining: 0 });
    let huge = Rate::new(u64::MAX, u64::MAX, u64::MAX);
    assert!(take(&AtomicU64::new(u64::MAX), u64::MAX, 1, &huge).is_allowed(), "sums at the end of the clock saturate");
    assert_eq!(Rate::new(5 * SECOND, SECOND, 9).parts(), [SECOND, SECOND, 9], "one token per nanosecond at most");
}

#[test]
fn threads_together_take_exactly_the_burst() {
    for (rate, period) in [(1000, SECOND), (997, SECOND)] {
        let limit = Rate::new(rate, period, 10_000);
        let cell = AtomicU64::new(0);
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        taken.fetch_add(u64::from(take(&cell, 42, 1, &limit).is_allowed()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(taken.load(Relaxed), 10_000);
    }
}
