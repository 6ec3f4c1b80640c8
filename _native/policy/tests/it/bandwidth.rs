use proptest::prelude::*;
use sluice_policy::bandwidth::{Bandwidth, Passage};

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

#[test]
fn passes_a_bucket_and_then_the_rate() {
    // 1,000,000 bytes a second: 50,000 in the bucket.
    let mut flow = Bandwidth::new(1_000_000, SECOND);
    assert_eq!(flow.take(10_000, SECOND), Passage { bytes: 10_000, wake_ns: None });
    assert_eq!(flow.take(200_000, SECOND), Passage { bytes: 40_000, wake_ns: Some(SECOND + 50 * MS) });
    assert_eq!(flow.take(160_000, SECOND + 50 * MS), Passage { bytes: 50_000, wake_ns: Some(SECOND + 100 * MS) });
    // Too early: a little passes, and the waiting goes on for the rest.
    assert_eq!(flow.take(10_000, SECOND + 51 * MS), Passage { bytes: 1_000, wake_ns: Some(SECOND + 60 * MS) });
    assert_eq!(flow.take(9_000, SECOND + 60 * MS), Passage { bytes: 9_000, wake_ns: None });
    assert_eq!(flow.take(0, SECOND + 60 * MS), Passage { bytes: 0, wake_ns: None });
    assert_eq!(flow.take(90_000, 900 * SECOND), Passage { bytes: 50_000, wake_ns: Some(900 * SECOND + 40 * MS) });
}

#[test]
fn extreme_rates() {
    assert_eq!(Bandwidth::new(0, 0).take(1, SECOND), Passage { bytes: 0, wake_ns: Some(u64::MAX) });
    assert_eq!(Bandwidth::new(0, 0).take(0, SECOND), Passage { bytes: 0, wake_ns: None });
    let mut slow = Bandwidth::new(1, 0);
    assert_eq!(slow.take(2, 0), Passage { bytes: 1, wake_ns: Some(SECOND) });
    assert_eq!(slow.take(1, SECOND), Passage { bytes: 1, wake_ns: None });
    let mut fast = Bandwidth::new(u64::MAX, 0);
    assert_eq!(fast.take(1 << 40, 0), Passage { bytes: 1 << 40, wake_ns: None });
    assert!(fast.take(u64::MAX, u64::MAX).bytes > 0);
    let mut flow = Bandwidth::new(1000, SECOND);
    flow.take(50, SECOND);
    assert_eq!(flow.take(1, 0).bytes, 0, "a clock that went back gives nothing");
}

proptest! {
    /// Never more than a bucket and the rate; a sender that wakes when told gets all of the rate, exactly.
    #[test]
    fn keeps_the_rate(rate in 1_u64..10_000_000, total in 1_u64..5_000_000, early in proptest::collection::vec(0_u64..40 * MS, 0..20)) {
        let mut flow = Bandwidth::new(rate, 0);
        let bucket = (rate / 20).max(1);
        let (mut left, mut now, mut turns) = (total, 0, 0_u64);
        let mut early = early.into_iter();
        loop {
            let Passage { bytes, wake_ns } = flow.take(left, now);
            left -= bytes;
            let passed = u128::from(total - left) * u128::from(SECOND);
            let bound = u128::from(rate) * u128::from(now) + (u128::from(rate) * 50 * u128::from(MS)).max(u128::from(SECOND));
            prop_assert!(passed <= bound);
            let Some(wake) = wake_ns else { break };
            prop_assert!(wake > now);
            now = early.next().map_or(wake, |gap| wake.min(now + gap));
            turns += 1;
        }
        // All that was not in the bucket, at the rate, rounded up to a nanosecond at each turn.
        let best = u128::from(total.saturating_sub(bucket)) * u128::from(SECOND) / u128::from(rate);
        prop_assert!(u128::from(now) <= best + u128::from(turns) + 1, "{now} instead of {best}");
    }
}
