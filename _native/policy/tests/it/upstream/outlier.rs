use super::SECOND;
use proptest::prelude::*;
use sluice_policy::upstream::{Cause, Observation, OutlierConfig, Outliers, SuccessRate};

const BAD: Observation = Observation::Status(500);
const GATEWAY: Observation = Observation::Status(503);
const GOOD: Observation = Observation::Status(404);
const LOCAL: Observation = Observation::LocalFailure;

fn config() -> OutlierConfig {
    OutlierConfig { max_ejection_percent: 100, success_rate: None, ..OutlierConfig::default() }
}

fn record(outliers: &mut Outliers, observed: &[Observation]) -> Vec<Option<Cause>> {
    observed.iter().map(|&each| outliers.record(0, each, SECOND)).collect()
}

/// So many failures of an endpoint.
fn fail(outliers: &mut Outliers, index: usize, times: usize, now_ns: u64) {
    for _ in 0..times {
        outliers.record(index, BAD, now_ns);
    }
}

#[test]
fn failures_in_a_row() {
    let three = OutlierConfig { consecutive_5xx: 3, consecutive_gateway_failure: 2, ..config() };
    let split = OutlierConfig { split_local_origin: true, consecutive_local_origin_failure: 2, ..three.clone() };
    let off = OutlierConfig { consecutive_5xx: 0, consecutive_gateway_failure: 0, ..config() };
    for (config, observed, want) in [
        (&three, &[BAD, BAD, BAD][..], Some(Cause::Consecutive5xx)),
        (&three, &[BAD, BAD, GOOD, BAD, BAD], None),
        (&three, &[GATEWAY, GATEWAY], Some(Cause::ConsecutiveGatewayFailure)),
        (&three, &[GATEWAY, BAD, GATEWAY], Some(Cause::Consecutive5xx)),
        (&three, &[LOCAL, LOCAL], Some(Cause::ConsecutiveGatewayFailure)),
        (&split, &[LOCAL, BAD, LOCAL, BAD], None),
        (&split, &[BAD, LOCAL, LOCAL], Some(Cause::ConsecutiveLocalFailure)),
        (&split, &[LOCAL, GOOD, LOCAL], None),
        (&off, &[GATEWAY; 100], None),
    ] {
        let mut outliers = Outliers::new(config.clone(), 4, 0);
        let causes = record(&mut outliers, observed);
        assert_eq!(causes.last(), Some(&want), "{observed:?}");
        assert!(causes[..causes.len() - 1].iter().all(Option::is_none), "{observed:?}: {causes:?}");
        assert_eq!(outliers.is_ejected(0), want.is_some());
    }
}

#[test]
fn ejections_grow_and_are_forgiven() {
    let mut outliers = Outliers::new(config(), 2, 0);
    let mut now = SECOND;
    for round in 1..=12 {
        assert_eq!((0..5).filter_map(|_| outliers.record(1, BAD, now)).collect::<Vec<_>>(), [Cause::Consecutive5xx]);
        assert_eq!(outliers.record(1, BAD, now), None, "ejected already");
        let since = now;
        loop {
            now = outliers.next_sweep_ns();
            if outliers.sweep(now).returned == [1] {
                break;
            }
            assert!(outliers.is_ejected(1));
        }
        let time = (30 * SECOND * round).min(300 * SECOND);
        assert!((time..time + 10 * SECOND).contains(&(now - since)), "round {round}: {}", now - since);
    }
    // Twelve quiet sweeps later the next ejection is as short as the first.
    for _ in 0..12 {
        now = outliers.next_sweep_ns();
        outliers.sweep(now);
    }
    fail(&mut outliers, 1, 5, now);
    assert!(outliers.sweep(now + 29 * SECOND).returned.is_empty());
    assert_eq!(outliers.sweep(now + 39 * SECOND).returned, [1]);
}

#[test]
fn sweeps_wait_for_their_time() {
    let mut outliers = Outliers::new(OutlierConfig { base_ejection_ns: 0, ..config() }, 1, 0);
    fail(&mut outliers, 0, 5, 1);
    assert!(outliers.sweep(10 * SECOND - 1).returned.is_empty());
    assert_eq!(outliers.sweep(10 * SECOND).returned, [0]);
    assert_eq!(outliers.next_sweep_ns(), 20 * SECOND);
}

#[test]
fn not_too_many_at_once() {
    for (endpoints, percent, always, want) in [
        (10, 10, false, 1),
        (10, 29, false, 2),
        (9, 10, false, 0),
        (3, 10, true, 1),
        (3, 100, false, 3),
        (3, 0, true, 1),
    ] {
        let rules = OutlierConfig { max_ejection_percent: percent, always_eject_one: always, ..config() };
        let mut outliers = Outliers::new(rules, endpoints, 0);
        for index in 0..endpoints {
            fail(&mut outliers, index, 5, SECOND);
        }
        let out = (0..endpoints).filter(|&index| outliers.is_ejected(index)).count();
        assert_eq!(out, want, "{percent} % of {endpoints}");
    }
}

#[test]
fn success_rate() {
    let rules = OutlierConfig { success_rate: Some(SuccessRate::default()), consecutive_5xx: 0, ..config() };
    let mut outliers = Outliers::new(rules, 6, 0);
    for request in 0..100 {
        for index in 0..6 {
            // Every second request to endpoint 4 fails.
            outliers.record(index, if index == 4 && request % 2 == 0 { BAD } else { GOOD }, SECOND);
        }
    }
    assert_eq!(outliers.sweep(10 * SECOND).ejected, [4]);
    assert!(outliers.sweep(20 * SECOND).ejected.is_empty(), "each interval counts for itself");
    assert_eq!(outliers.sweep(40 * SECOND).returned, [4]);
}

#[test]
fn a_new_configuration_keeps_who_is_out() {
    let mut old = Outliers::new(config(), 3, 0);
    fail(&mut old, 2, 5, SECOND);
    fail(&mut old, 1, 4, SECOND);
    let mut new = old.following(config(), &[Some(2), None, Some(1), Some(99)]);
    assert_eq!([0, 1, 2, 3, 4].map(|index| new.is_ejected(index)), [true, false, false, false, false]);
    assert_eq!(new.record(2, BAD, SECOND), Some(Cause::Consecutive5xx));
    assert_eq!(new.record(4, BAD, SECOND), None, "there is no such endpoint");
    assert_eq!(new.sweep(31 * SECOND).returned, [0, 2]);
}

proptest! {
    /// Never more out than allowed, and everybody returns.
    #[test]
    fn bounds(
        endpoints in 1_usize..12,
        percent in 0_u8..=100,
        steps in proptest::collection::vec((0_usize..12, any::<bool>(), 0_u64..5), 0..300),
    ) {
        let rules = OutlierConfig { consecutive_5xx: 2, max_ejection_percent: percent, ..config() };
        let mut outliers = Outliers::new(rules, endpoints, 0);
        let out = |outliers: &Outliers| (0..endpoints).filter(|&index| outliers.is_ejected(index)).count();
        let mut now = 0;
        for (index, bad, gap) in steps {
            now += gap * SECOND;
            let cause = outliers.record(index, if bad { BAD } else { GOOD }, now);
            prop_assert!(cause.is_none() || outliers.is_ejected(index));
            outliers.sweep(now);
            prop_assert!(out(&outliers) * 100 <= endpoints * usize::from(percent));
        }
        outliers.sweep(now + 300 * SECOND);
        prop_assert_eq!(out(&outliers), 0);
    }
}
