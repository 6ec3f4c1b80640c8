use super::SECOND;
use proptest::prelude::*;
use sluice_policy::upstream::{CheckOutcome, Checker, Due, Health, HealthConfig};

const PASSED: CheckOutcome = CheckOutcome::Passed;
const REFUSED: CheckOutcome = CheckOutcome::Refused;
const FAILED: CheckOutcome = CheckOutcome::Failed;

fn config() -> HealthConfig {
    HealthConfig { healthy_threshold: 2, unhealthy_threshold: 3, ..HealthConfig::default() }
}

#[test]
fn thresholds() {
    for (outcomes, want) in [
        (&[][..], Health::Unknown),
        (&[PASSED], Health::Healthy),
        (&[FAILED], Health::Unhealthy),
        (&[REFUSED], Health::Unhealthy),
        (&[PASSED, FAILED, FAILED], Health::Healthy),
        (&[PASSED, FAILED, FAILED, FAILED], Health::Unhealthy),
        (&[PASSED, FAILED, FAILED, PASSED, FAILED, FAILED], Health::Healthy),
        (&[PASSED, REFUSED], Health::Unhealthy),
        (&[FAILED, PASSED], Health::Unhealthy),
        (&[FAILED, PASSED, PASSED], Health::Healthy),
        (&[FAILED, PASSED, FAILED, PASSED], Health::Unhealthy),
    ] {
        let mut checker = Checker::new(&config(), 0, 0);
        let mut told = Health::Unknown;
        for &outcome in outcomes {
            if let Some(health) = checker.finish(&config(), outcome, 0, 0) {
                assert_ne!(health, told, "only changes are told");
                told = health;
            }
        }
        assert_eq!((checker.health(), told), (want, want), "{outcomes:?}");
    }
}

#[test]
fn times() {
    let config = HealthConfig { jitter_ns: SECOND, ..config() };
    let mut checker = Checker::new(&config, 100 * SECOND, 1 << 63);
    assert_eq!(checker.wake_ns(), 100 * SECOND + SECOND / 2);
    assert_eq!(checker.due(100 * SECOND), None);
    assert_eq!(checker.due(101 * SECOND), Some(Due::Check));
    checker.begin(&config, 101 * SECOND);
    assert_eq!(checker.due(103 * SECOND), None);
    assert_eq!(checker.due(104 * SECOND), Some(Due::Timeout));
    assert_eq!(checker.finish(&config, FAILED, 104 * SECOND, 0), Some(Health::Unhealthy));
    assert_eq!(checker.wake_ns(), 109 * SECOND);
    checker.begin(&config, 109 * SECOND);
    checker.finish(&config, PASSED, 110 * SECOND, u64::MAX);
    assert_eq!(checker.wake_ns(), 116 * SECOND);
    assert_eq!(checker.due(116 * SECOND), Some(Due::Check));
}

#[test]
fn statuses() {
    let plain = HealthConfig::default();
    let ranges = HealthConfig { expected_statuses: [200..=299, 404..=404].into(), ..HealthConfig::default() };
    for (status, [by_default, by_ranges]) in [
        (200, [PASSED, PASSED]),
        (204, [REFUSED, PASSED]),
        (300, [REFUSED; 2]),
        (404, [REFUSED, PASSED]),
        (503, [REFUSED; 2]),
    ] {
        assert_eq!([plain.judge(status), ranges.judge(status)], [by_default, by_ranges], "{status}");
    }
}

proptest! {
    /// The last outcomes decide: as many in a row as the threshold says, or one bad answer.
    #[test]
    fn equals_a_look_back(outcomes in proptest::collection::vec(prop_oneof![Just(PASSED), Just(FAILED), Just(REFUSED)], 1..60)) {
        let mut checker = Checker::new(&config(), 0, 0);
        let mut want = Health::Unknown;
        for (at, &outcome) in outcomes.iter().enumerate() {
            checker.finish(&config(), outcome, 0, 0);
            let seen = &outcomes[..=at];
            let last = |n: usize, is: CheckOutcome| seen.len() >= n && seen[seen.len() - n..].iter().all(|&each| each == is);
            want = match want {
                Health::Unknown if outcome == PASSED => Health::Healthy,
                Health::Unknown => Health::Unhealthy,
                Health::Healthy if outcome == REFUSED || last(3, FAILED) => Health::Unhealthy,
                Health::Unhealthy if last(2, PASSED) => Health::Healthy,
                same => same,
            };
            prop_assert_eq!(checker.health(), want);
        }
    }
}
