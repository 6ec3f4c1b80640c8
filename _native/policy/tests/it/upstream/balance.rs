use super::{SECOND, balancer, endpoints, nobody};
use proptest::prelude::*;
use sluice_policy::Rng;
use sluice_policy::upstream::{Balancer, Policy, Settings, State};

const EWMA: Policy = Policy::PeakEwma { decay_ns: 10 * SECOND };
const ALL: [Policy; 5] = [Policy::RoundRobin, Policy::LeastRequest, EWMA, Policy::RingHash, Policy::Maglev];

fn counts(balancer: &Balancer, state: &State, now_ns: u64, picks: usize) -> Vec<usize> {
    let mut rng = Rng::new(picks as u64);
    let mut counts = vec![0; balancer.endpoints().len()];
    for _ in 0..picks {
        counts[balancer.pick(state, now_ns, None, nobody, &mut rng).unwrap()] += 1;
    }
    counts
}

/// nginx's algorithm as its commit message describes it.
fn smooth_oracle(weights: &[i64], turns: usize) -> Vec<usize> {
    let mut current = vec![0; weights.len()];
    let turn = |_| {
        for (value, weight) in current.iter_mut().zip(weights) {
            *value += weight;
        }
        let best = (0..weights.len()).rev().max_by_key(|&index| current[index]).unwrap();
        current[best] -= weights.iter().sum::<i64>();
        best
    };
    (0..turns).map(turn).collect()
}

#[test]
fn an_empty_cluster_has_no_endpoint() {
    for policy in ALL {
        for weights in [&[][..], &[0], &[0, 0]] {
            let balancer = balancer(policy, weights);
            let state = State::new(&balancer, 0, 1);
            assert_eq!(balancer.pick(&state, 0, Some(1), nobody, &mut Rng::new(1)), None, "{policy:?}");
        }
    }
}

#[test]
fn only_healthy_endpoints_are_picked_and_weight_zero_never() {
    for policy in ALL {
        let balancer = balancer(policy, &[1, 0, 1, 3, 1, 1]);
        let state = State::new(&balancer, 0, 1);
        state.set_healthy(3, false, 0);
        state.set_healthy(4, false, 0);
        let counts = counts(&balancer, &state, SECOND, 600);
        for (index, &count) in counts.iter().enumerate() {
            assert_eq!(count > 0, [0, 2, 5].contains(&index), "{policy:?}: {counts:?}");
        }
    }
}

#[test]
fn endpoints_to_avoid_are_the_last_resort() {
    for policy in ALL {
        let balancer = balancer(policy, &[1; 4]);
        let state = State::new(&balancer, 0, 1);
        let mut rng = Rng::new(5);
        for _ in 0..100 {
            assert_eq!(balancer.pick(&state, 0, Some(7), |index| index != 2, &mut rng), Some(2), "{policy:?}");
            assert!(balancer.pick(&state, 0, Some(7), |_| true, &mut rng).is_some(), "{policy:?}");
        }
    }
}

#[test]
fn health_is_ignored_in_a_panic() {
    for policy in ALL {
        let settings = Settings { policy, ..Settings::default() };
        let calm = Balancer::new(endpoints(&[1; 4]), Settings { panic_percent: 0, ..settings.clone() });
        let nervous = Balancer::new(endpoints(&[1; 4]), settings);
        for balancer in [&calm, &nervous] {
            let state = State::new(balancer, 0, 1);
            state.set_healthy(0, false, 0);
            state.set_healthy(1, false, 0);
            assert_eq!(counts(balancer, &state, 0, 200)[..2], [0, 0], "{policy:?}: half is enough");
            state.set_healthy(2, false, 0);
            let picked = counts(balancer, &state, 0, 400).iter().filter(|&&count| count > 0).count();
            assert_eq!(picked, if std::ptr::eq(balancer, &raw const calm) { 1 } else { 4 }, "{policy:?}");
            state.set_healthy(3, false, 0);
            let none = balancer.pick(&state, 0, None, nobody, &mut Rng::new(1)).is_none();
            assert_eq!(none, std::ptr::eq(balancer, &raw const calm), "{policy:?}");
        }
    }
}

#[test]
fn least_request_prefers_the_idle_and_follows_envoy_with_weights() {
    let equal = balancer(Policy::LeastRequest, &[2, 2]);
    let state = State::new(&equal, 0, 1);
    state.live(0).unwrap().begin();
    assert_eq!(counts(&equal, &state, 0, 100), [0, 100]);
    // Envoy's example: weights 2 and 1, 4 requests under way on the heavier one: 2/5 against 1.
    let weighted = balancer(Policy::LeastRequest, &[2, 1]);
    let state = State::new(&weighted, 0, 1);
    assert_eq!(counts(&weighted, &state, 0, 300), [200, 100], "idle: by weight");
    for _ in 0..4 {
        state.live(0).unwrap().begin();
    }
    assert_eq!(counts(&weighted, &state, 0, 700), [200, 500]);
    state.live(0).unwrap().end();
    assert_eq!(state.live(0).unwrap().active(), 3);
}

#[test]
fn peak_ewma_leaves_slow_and_busy_endpoints_alone() {
    let balancer = balancer(EWMA, &[1; 2]);
    let state = State::new(&balancer, 0, 1);
    let [slow, fast] = [0, 1].map(|index| state.live(index).unwrap());
    slow.observe(50_000_000, SECOND);
    fast.observe(5_000_000, SECOND);
    assert_eq!(counts(&balancer, &state, SECOND, 100), [0, 100]);
    for _ in 0..10 {
        fast.begin();
    }
    assert_eq!(counts(&balancer, &state, SECOND, 100), [100, 0], "ten requests cost more than ten times the latency");
}

#[test]
fn an_endpoint_that_became_healthy_starts_slowly() {
    let settings = Settings { slow_start_ns: 10 * SECOND, ..Settings::default() };
    let balancer = Balancer::new(endpoints(&[1; 3]), settings);
    let state = State::new(&balancer, 0, 1);
    state.set_healthy(1, false, 20 * SECOND);
    state.set_healthy(1, true, 100 * SECOND);
    for (after, want) in [(0, 100), (SECOND / 2, 100), (5 * SECOND, 500), (8 * SECOND, 800), (10 * SECOND, 1000)] {
        let total = 2000 + want;
        let counts = counts(&balancer, &state, 100 * SECOND + after, total);
        assert!(counts[1].abs_diff(want) <= 2, "{after} ns: {counts:?}");
    }
}

proptest! {
    /// Equal weights: turns, whoever is left out. Unequal ones: nginx's order, and the weights exactly over a cycle.
    #[test]
    fn round_robin_is_exact(weights in proptest::collection::vec(1_u32..20, 2..9), seed in any::<u64>()) {
        let balancer = balancer(Policy::RoundRobin, &weights);
        let state = State::new(&balancer, 0, seed);
        let cycle: u32 = weights.iter().sum();
        let mut rng = Rng::new(1);
        let picks: Vec<usize> =
            (0..3 * cycle).map(|_| balancer.pick(&state, 0, None, nobody, &mut rng).unwrap()).collect();
        let equal = weights.iter().all(|weight| *weight == weights[0]);
        if !equal {
            let weights: Vec<i64> = weights.iter().map(|&weight| i64::from(weight)).collect();
            prop_assert_eq!(&picks, &smooth_oracle(&weights, picks.len()));
        }
        for part in picks.chunks(cycle as usize) {
            for (index, &weight) in weights.iter().enumerate() {
                prop_assert_eq!(part.iter().filter(|&&pick| pick == index).count(), weight as usize);
            }
        }
    }

    /// Whatever happens, the pick is healthy and not avoided if such an endpoint exists.
    #[test]
    fn picks_are_eligible(
        which in 0..ALL.len(),
        weights in proptest::collection::vec(0_u32..4, 1..12),
        healthy in proptest::collection::vec(any::<bool>(), 12),
        avoided in proptest::collection::vec(any::<bool>(), 12),
        key in proptest::option::of(any::<u64>()),
        seed in any::<u64>(),
    ) {
        let settings = Settings { policy: ALL[which], panic_percent: 0, slow_start_ns: seed % 3, locality: None };
        let balancer = Balancer::new(endpoints(&weights), settings);
        let state = State::new(&balancer, 0, seed);
        for (index, &healthy) in healthy.iter().enumerate() {
            state.set_healthy(index, healthy, 1);
        }
        let usable = |index: usize| weights[index] > 0 && healthy[index];
        let fresh = |index: usize| usable(index) && !avoided[index];
        let mut rng = Rng::new(seed);
        for _ in 0..20 {
            match balancer.pick(&state, 2, key, |index| avoided[index], &mut rng) {
                None => prop_assert!(!(0..weights.len()).any(usable)),
                Some(index) => prop_assert!(fresh(index) || (usable(index) && !(0..weights.len()).any(fresh))),
            }
        }
    }
}
