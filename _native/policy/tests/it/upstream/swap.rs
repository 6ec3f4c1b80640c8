use super::{SECOND, balancer, endpoint, endpoints, nobody};
use sluice_policy::Rng;
use sluice_policy::upstream::{Balancer, Policy, Settings, State};
use std::rc::Rc;

#[test]
fn endpoints_that_stay_keep_their_state() {
    let old = balancer(Policy::LeastRequest, &[1, 1, 1]);
    let before = State::new(&old, 0, 1);
    let under_way = Rc::clone(before.live(2).unwrap());
    under_way.begin();
    before.set_healthy(1, false, 0);
    // 2 and 1 stay in another order, 0 goes, 7 comes.
    let new = Balancer::new(
        vec![endpoint(2, 1), endpoint(7, 1), endpoint(1, 1)],
        Settings { policy: Policy::LeastRequest, ..Settings::default() },
    );
    let moved = new.moved_from(&old);
    assert_eq!(moved, [Some(2), None, Some(1)]);
    let after = before.following(&new, &moved, SECOND);
    assert_eq!(after.live(0).unwrap().active(), 1);
    let mut rng = Rng::new(1);
    for _ in 0..50 {
        assert_eq!(new.pick(&after, SECOND, None, nobody, &mut rng), Some(1), "0 is busy, 2 unhealthy");
    }
    // A request that began before the change ends after it.
    under_way.end();
    assert_eq!(after.live(0).unwrap().active(), 0);
}

#[test]
fn health_counts_for_both_configurations_while_both_are_in_use() {
    let old = balancer(Policy::RoundRobin, &[1, 1]);
    let before = State::new(&old, 0, 1);
    let new = balancer(Policy::RoundRobin, &[1, 1, 1]);
    let after = before.following(&new, &new.moved_from(&old), 0);
    let mut rng = Rng::new(1);
    assert!(old.pick(&before, 0, None, nobody, &mut rng).is_some());
    after.set_healthy(0, false, 0);
    after.set_healthy(1, false, 0);
    assert!(old.pick(&before, 0, None, nobody, &mut rng).is_some(), "the old configuration panics");
    after.set_healthy(1, true, 0);
    for _ in 0..10 {
        assert_eq!(old.pick(&before, 0, None, nobody, &mut rng), Some(1));
        assert_ne!(new.pick(&after, 0, None, nobody, &mut rng), Some(0));
    }
}

#[test]
fn an_endpoint_that_joins_starts_slowly() {
    let settings = || Settings { slow_start_ns: 10 * SECOND, ..Settings::default() };
    let old = Balancer::new(endpoints(&[1; 2]), settings());
    let before = State::new(&old, 0, 1);
    let new = Balancer::new(endpoints(&[1; 3]), settings());
    let after = before.following(&new, &new.moved_from(&old), 60 * SECOND);
    let mut rng = Rng::new(1);
    let mut picks = [0; 3];
    (0..210).for_each(|_| picks[new.pick(&after, 61 * SECOND, None, nobody, &mut rng).unwrap()] += 1);
    assert_eq!(picks, [100, 100, 10]);
}

#[test]
fn a_state_of_another_configuration_does_no_harm() {
    let small = balancer(Policy::RoundRobin, &[1]);
    let large = balancer(Policy::LeastRequest, &[1, 2, 3]);
    let mut rng = Rng::new(1);
    assert_eq!(large.pick(&State::new(&small, 0, 1), 0, None, nobody, &mut rng), Some(0));
    assert_eq!(small.pick(&State::new(&large, 0, 5), 0, None, nobody, &mut rng), Some(0));
}
