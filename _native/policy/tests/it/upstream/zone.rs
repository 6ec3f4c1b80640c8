use super::{address, nobody};
use proptest::prelude::*;
use sluice_policy::Rng;
use sluice_policy::upstream::{Balancer, Endpoint, Locality, Policy, Settings, State};

fn cluster(zones: &[&str], callers: u32, all_callers: u32, policy: Policy) -> Balancer {
    let endpoint = |(number, zone): (u32, &&str)| Endpoint {
        address: address(number),
        weight: 1,
        zone: (!zone.is_empty()).then(|| (*zone).into()),
    };
    let locality = Some(Locality { zone: "a".into(), callers, all_callers, min_endpoints: 6 });
    Balancer::new((0..).zip(zones).map(endpoint).collect(), Settings { policy, locality, ..Settings::default() })
}

/// The share of picks that stay in zone `a`.
fn local(balancer: &Balancer, state: &State) -> f64 {
    let mut rng = Rng::new(9);
    let pick = |_| balancer.pick(state, 0, None, nobody, &mut rng).unwrap();
    let is_local = |&index: &usize| balancer.endpoints()[index].zone.as_deref() == Some("a");
    (0..10_000).map(pick).filter(is_local).count() as f64 / 10_000.0
}

#[test]
fn the_local_zone_is_used_as_far_as_it_has_capacity() {
    let even = ["a", "b", "c", "a", "b", "c"];
    for (zones, callers, all_callers, want) in [
        (&even[..], 1, 3, 1.0),
        (&["a", "b", "b", "b", "b", "b"], 1, 3, 0.5),
        (&["a", "a", "a", "a", "a", "b"], 1, 3, 1.0),
        (&["b", "b", "b", "c", "c", "c"], 1, 3, 0.0),
        (&["a", "", "", "", "", ""], 1, 2, 1.0 / 3.0),
        // Too few endpoints: zones do not matter.
        (&["a", "b", "b", "b", "b"], 1, 3, 0.2),
    ] {
        for policy in [Policy::RoundRobin, Policy::LeastRequest, Policy::PeakEwma { decay_ns: 1 }] {
            let balancer = cluster(zones, callers, all_callers, policy);
            let share = local(&balancer, &State::new(&balancer, 0, 1));
            assert!((share - want).abs() < 0.03, "{zones:?} {policy:?}: {share} instead of {want}");
        }
    }
}

#[test]
fn health_changes_the_share_and_a_panic_ends_it() {
    let balancer = cluster(&["a", "a", "b", "b", "b", "b", "b", "b"], 1, 4, Policy::RoundRobin);
    let state = State::new(&balancer, 0, 1);
    assert!((local(&balancer, &state) - 1.0).abs() < 1e-9);
    // One of seven here, a quarter of the callers: four sevenths stay.
    state.set_healthy(0, false, 0);
    assert!((local(&balancer, &state) - 4.0 / 7.0).abs() < 0.02);
    for index in 1..6 {
        state.set_healthy(index, false, 0);
    }
    assert!((local(&balancer, &state) - 0.25).abs() < 0.01, "all zones, all endpoints");
}

#[test]
fn a_local_zone_to_avoid_is_left() {
    let balancer = cluster(&["a", "b", "c", "a", "b", "c"], 1, 3, Policy::RoundRobin);
    let state = State::new(&balancer, 0, 1);
    let pick = balancer.pick(&state, 0, None, |index| index % 3 == 0, &mut Rng::new(1)).unwrap();
    assert_ne!(pick % 3, 0);
}

proptest! {
    /// If every zone follows the rule, no endpoint gets more than the others by more than chance.
    #[test]
    fn spilling_does_not_overload(here in 1_usize..4, there in 5_usize..12, callers in 1_u32..4, others in 1_u32..4) {
        let zones: Vec<&str> = [vec!["a"; here], vec!["b"; there]].concat();
        let balancer = cluster(&zones, callers, callers + others, Policy::RoundRobin);
        let share = local(&balancer, &State::new(&balancer, 0, 1));
        // What the callers of zone a send to each local endpoint, relative to a fair share.
        let demand = f64::from(callers) / f64::from(callers + others);
        let load = share * demand / here as f64 * (here + there) as f64;
        prop_assert!(load < 1.05, "{load}");
    }
}
