use super::{balancer, endpoint, endpoints, nobody};
use proptest::prelude::*;
use sluice_policy::Rng;
use sluice_policy::upstream::hash::{address_key, cookie_key, header_key};
use sluice_policy::upstream::{Balancer, Policy, Settings, State};
use std::net::SocketAddr;

/// Who owns each of `keys` keys, by address.
fn owners(balancer: &Balancer, state: &State, keys: u64) -> Vec<SocketAddr> {
    let mut rng = Rng::new(1);
    let pick = |key: u64| balancer.pick(state, 0, Some(header_key(&key.to_le_bytes())), nobody, &mut rng).unwrap();
    (0..keys).map(pick).map(|index| balancer.endpoints()[index].address).collect()
}

fn fresh(balancer: &Balancer, keys: u64) -> Vec<SocketAddr> {
    owners(balancer, &State::new(balancer, 0, 1), keys)
}

#[test]
fn keys_are_what_envoy_computes() {
    // Published test vectors of xxHash64 with seed 0.
    assert_eq!(header_key(b""), 0xef46_db37_51d8_e999);
    assert_eq!(header_key(b"a"), 0xd24e_c4f1_a98c_6e5b);
    assert_eq!(header_key(b"abc"), 0x44bc_2cf5_ad77_0999);
    assert_eq!(address_key("192.0.2.1".parse().unwrap()), header_key(b"192.0.2.1"));
    assert_eq!(address_key("::ffff:192.0.2.1".parse().unwrap()), header_key(b"192.0.2.1"));
    assert_eq!(address_key("2001:db8:0:0::1".parse().unwrap()), header_key(b"2001:db8::1"));
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    assert_eq!(address_key(long.parse().unwrap()), header_key(long.as_bytes()));
}

#[test]
fn cookies() {
    for (field, want) in [
        ("sid=abc", Some("abc")),
        ("a=1; sid=abc; b=2", Some("abc")),
        ("a=1;sid=abc", Some("abc")),
        ("sid=\"abc\"", Some("abc")),
        ("sid = abc ", Some("abc")),
        ("sid=abc; sid=other", Some("abc")),
        ("sid=a=b", Some("a=b")),
        ("sid=\"", Some("\"")),
        ("sid", None),
        ("sid=", None),
        ("sid=\"\"", None),
        ("xsid=abc; sidx=abc; SID=abc", None),
        ("", None),
        (";;=;", None),
    ] {
        assert_eq!(cookie_key(field.as_bytes(), b"sid"), want.map(|value| header_key(value.as_bytes())), "{field}");
    }
}

#[test]
fn owners_do_not_depend_on_the_order_of_the_configuration() {
    for policy in [Policy::RingHash, Policy::Maglev] {
        let forward = endpoints(&[1, 5, 2, 9, 4]);
        let backward = forward.iter().rev().cloned().collect();
        let [forward, backward] =
            [forward, backward].map(|endpoints| Balancer::new(endpoints, Settings { policy, ..Settings::default() }));
        assert_eq!(fresh(&forward, 2000), fresh(&backward, 2000), "{policy:?}");
    }
}

/// A ring has as many points as its size says: each share is off by some percent of itself. Maglev gives each endpoint
/// its share of the slots to within one.
#[test]
fn weights_are_respected() {
    const SLOTS: u64 = 65_537;
    for (policy, tolerance) in [(Policy::RingHash, 0.15), (Policy::Maglev, 0.001)] {
        for weights in [&[1; 10][..], &[1, 2, 3, 4], &[100, 300]] {
            let balancer = balancer(policy, weights);
            let state = State::new(&balancer, 0, 1);
            let mut rng = Rng::new(1);
            let mut owned = vec![0_u32; weights.len()];
            for slot in 0..SLOTS {
                let key = if policy == Policy::Maglev { slot } else { header_key(&slot.to_le_bytes()) };
                owned[balancer.pick(&state, 0, Some(key), nobody, &mut rng).unwrap()] += 1;
            }
            let total: u32 = weights.iter().sum();
            for (&owned, &weight) in owned.iter().zip(weights) {
                let want = SLOTS as f64 * f64::from(weight) / f64::from(total);
                assert!(
                    (f64::from(owned) / want - 1.0).abs() < tolerance,
                    "{policy:?} {weights:?}: {owned}, not {want}"
                );
            }
        }
    }
}

#[test]
fn keys_of_an_endpoint_that_fails_are_spread_and_come_back() {
    for policy in [Policy::RingHash, Policy::Maglev] {
        let balancer = balancer(policy, &[1; 5]);
        let state = State::new(&balancer, 0, 1);
        let before = owners(&balancer, &state, 5000);
        state.set_healthy(2, false, 0);
        let during = owners(&balancer, &state, 5000);
        let lost = balancer.endpoints()[2].address;
        assert!(before.iter().zip(&during).all(|(old, new)| *old == lost || old == new), "{policy:?}");
        for heir in balancer.endpoints().iter().filter(|endpoint| endpoint.address != lost) {
            let inherited =
                before.iter().zip(&during).filter(|&(old, new)| *old == lost && *new == heir.address).count();
            assert!((100..450).contains(&inherited), "{policy:?}: {inherited} of about 1000");
        }
        state.set_healthy(2, true, 0);
        assert_eq!(owners(&balancer, &state, 5000), before, "{policy:?}");
    }
}

/// With so many that probing gives up, a key still finds the one that is left.
#[test]
fn the_last_of_many_is_found() {
    for policy in [Policy::RingHash, Policy::Maglev] {
        let settings = Settings { policy, panic_percent: 0, ..Settings::default() };
        let balancer = Balancer::new(endpoints(&[1; 3000]), settings);
        let state = State::new(&balancer, 0, 1);
        for index in (0..3000).filter(|&index| index != 1234) {
            state.set_healthy(index, false, 0);
        }
        let left = balancer.endpoints()[1234].address;
        assert!(owners(&balancer, &state, 100).iter().all(|&owner| owner == left), "{policy:?}");
    }
}

/// Two requests without a key may go to different endpoints.
#[test]
fn without_a_key_the_choice_is_random() {
    let balancer = balancer(Policy::Maglev, &[1; 3]);
    let state = State::new(&balancer, 0, 1);
    let mut rng = Rng::new(3);
    let mut seen = [false; 3];
    (0..100).for_each(|_| seen[balancer.pick(&state, 0, None, nobody, &mut rng).unwrap()] = true);
    assert_eq!(seen, [true; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A ring moves the keys of the endpoint that goes, and no others.
    #[test]
    fn a_ring_moves_only_the_keys_of_the_removed(
        numbers in proptest::collection::btree_set(0_u32..100_000, 2..40),
        weight in 1_u32..5,
        gone in any::<proptest::sample::Index>(),
    ) {
        let all: Vec<_> = numbers.iter().map(|&number| endpoint(number, weight)).collect();
        let gone = gone.index(all.len());
        let lost = all[gone].address;
        let mut rest = all.clone();
        rest.remove(gone);
        let settings = || Settings { policy: Policy::RingHash, ..Settings::default() };
        let before = fresh(&Balancer::new(all, settings()), 1000);
        let after = fresh(&Balancer::new(rest, settings()), 1000);
        for (old, new) in before.iter().zip(&after) {
            let right = if *old == lost { *new != lost } else { old == new };
            prop_assert!(right, "a key went from {} to {}", old, new);
        }
    }

    /// Maglev moves few others: the paper (section 5.3) has some percent for tables this much larger than the cluster.
    #[test]
    fn maglev_moves_few_keys(
        numbers in proptest::collection::btree_set(0_u32..100_000, 3..40),
        gone in any::<proptest::sample::Index>(),
    ) {
        let all: Vec<_> = numbers.iter().map(|&number| endpoint(number, 1)).collect();
        let gone = gone.index(all.len());
        let lost = all[gone].address;
        let mut rest = all.clone();
        rest.remove(gone);
        let settings = || Settings { policy: Policy::Maglev, ..Settings::default() };
        let before = fresh(&Balancer::new(all, settings()), 2000);
        let after = fresh(&Balancer::new(rest, settings()), 2000);
        let moved = before.iter().zip(&after).filter(|&(old, new)| *old != lost && old != new).count();
        prop_assert!(moved < 100, "{} of 2000 keys moved without need", moved);
    }
}
