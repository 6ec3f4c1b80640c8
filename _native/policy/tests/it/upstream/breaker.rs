use proptest::prelude::*;
use sluice_policy::Rng;
use sluice_policy::upstream::{BreakerLayout, BreakerLimits, Breakers, Priority, Resource};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const PRIORITIES: [Priority; 2] = [Priority::Default, Priority::High];
const RESOURCES: [Resource; 4] = [Resource::Connections, Resource::Pending, Resource::Requests, Resource::Retries];

fn memory(layout: BreakerLayout) -> Vec<AtomicU64> {
    (0..layout.words()).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn defaults_are_those_of_envoy() {
    let limits = BreakerLimits::default();
    assert_eq!(RESOURCES.map(|resource| limits.of(resource)), [1024, 1024, 1024, 3]);
}

#[test]
fn slots_and_rows_that_do_not_exist() {
    let layout = BreakerLayout { clusters: 2, workers: 2 };
    let words = memory(layout);
    assert!(Breakers::new(&words[1..], layout).is_none());
    assert!(Breakers::new(&words, BreakerLayout { clusters: 0, workers: 4095 }).is_none());
    let breakers = Breakers::new(&words, layout).unwrap();
    assert!(breakers.worker(2).is_none());
    breakers.release_worker(2);
    let worker = breakers.worker(1).unwrap();
    assert!(worker.take(2, Priority::Default, Resource::Requests, 0), "no row, no limit");
    worker.release(2, Priority::Default, Resource::Requests);
    assert_eq!(breakers.in_use(2, Priority::Default, Resource::Requests), 0);
    assert!(words.iter().all(|word| word.load(Relaxed) == 0));
    assert!(!worker.take(1, Priority::Default, Resource::Requests, 0));
    worker.release(1, Priority::Default, Resource::Requests);
    assert_eq!(breakers.in_use(1, Priority::Default, Resource::Requests), 0, "what was not taken is not given back");
}

#[test]
fn a_lower_limit_lets_nobody_in_until_enough_are_gone() {
    let layout = BreakerLayout { clusters: 1, workers: 1 };
    let words = memory(layout);
    let worker = Breakers::new(&words, layout).unwrap().worker(0).unwrap();
    let take = |limit| worker.take(0, Priority::High, Resource::Pending, limit);
    assert!((0..5).all(|_| take(5)) && !take(5) && !take(3) && take(u32::MAX));
    for _ in 0..4 {
        worker.release(0, Priority::High, Resource::Pending);
    }
    assert!(take(3) && !take(3));
}

/// Threads take and give back as fast as they can; at no moment are there more than the limit. One stops with its takes
/// outstanding, and the master takes exactly these back while the others go on.
#[test]
fn exact_under_races_and_after_a_crash() {
    const LIMIT: u32 = 5;
    const WORKERS: usize = 4;
    let layout = BreakerLayout { clusters: 3, workers: WORKERS };
    let words = memory(layout);
    let breakers = Breakers::new(&words, layout).unwrap();
    let inside = AtomicU64::new(0);
    let most = AtomicU64::new(0);
    let (priority, resource) = (Priority::High, Resource::Retries);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..WORKERS)
            .map(|slot| {
                let (inside, most) = (&inside, &most);
                let worker = breakers.worker(slot).unwrap();
                scope.spawn(move || {
                    let mut rng = Rng::new(slot as u64);
                    let mut held = 0;
                    for _ in 0..40_000 {
                        if rng.chance(50.0) {
                            if worker.take(1, priority, resource, LIMIT) {
                                most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                                held += 1;
                            }
                        } else if held > 0 {
                            inside.fetch_sub(1, Relaxed);
                            worker.release(1, priority, resource);
                            held -= 1;
                        }
                        if slot == 0 && held == 2 && rng.chance(1.0) {
                            break;
                        }
                    }
                    held
                })
            })
            .collect();
        let mut held = Vec::new();
        for (slot, handle) in handles.into_iter().enumerate() {
            let left: u64 = handle.join().unwrap();
            if slot == 0 {
                // The others are still at work, which the counter beside them must know.
                inside.fetch_sub(left, Relaxed);
                breakers.release_worker(0);
            } else {
                held.push(left);
            }
        }
        assert_eq!(breakers.in_use(1, priority, resource), held.iter().sum::<u64>());
        for (slot, _) in held.iter().enumerate() {
            breakers.release_worker(slot + 1);
        }
    });
    assert!(most.load(Relaxed) <= u64::from(LIMIT), "{} inside at once", most.load(Relaxed));
    assert_eq!(breakers.in_use(1, priority, resource), 0);
    let others = PRIORITIES.iter().flat_map(|&priority| RESOURCES.map(|resource| (priority, resource)));
    assert!(others.into_iter().all(|(priority, resource)| breakers.in_use(0, priority, resource) == 0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Take(u32),
    Release,
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![5 => (0_u32..6).prop_map(Step::Take), 4 => Just(Step::Release), 1 => Just(Step::Die)]
}

proptest! {
    /// One after the other, the words are a map from worker and cell to a count.
    #[test]
    fn equals_a_map(steps in proptest::collection::vec((0_usize..3, 0_usize..2, 0_usize..2, 0_usize..4, step()), 1..200)) {
        let layout = BreakerLayout { clusters: 2, workers: 3 };
        let words = memory(layout);
        let breakers = Breakers::new(&words, layout).unwrap();
        let mut held: HashMap<(usize, usize, usize, usize), u64> = HashMap::new();
        for (slot, cluster, priority, resource, step) in steps {
            let total = |held: &HashMap<(usize, usize, usize, usize), u64>| {
                (0..3).filter_map(|slot| held.get(&(slot, cluster, priority, resource))).sum::<u64>()
            };
            let worker = breakers.worker(slot).unwrap();
            let before = total(&held);
            let own = held.entry((slot, cluster, priority, resource)).or_default();
            match step {
                Step::Take(limit) => {
                    let may = before < u64::from(limit);
                    prop_assert_eq!(worker.take(cluster, PRIORITIES[priority], RESOURCES[resource], limit), may);
                    *own += u64::from(may);
                }
                Step::Release => {
                    worker.release(cluster, PRIORITIES[priority], RESOURCES[resource]);
                    *own = own.saturating_sub(1);
                }
                Step::Die => {
                    breakers.release_worker(slot);
                    held.retain(|&(owner, ..), _| owner != slot);
                }
            }
            prop_assert_eq!(breakers.in_use(cluster, PRIORITIES[priority], RESOURCES[resource]), total(&held));
        }
    }
}
