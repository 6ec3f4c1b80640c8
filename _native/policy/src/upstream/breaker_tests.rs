//! A worker dies between any two steps of an operation, alone and with others that write over its traces.

use super::*;

const LAYOUT: BreakerLayout = BreakerLayout { clusters: 2, workers: 3 };

fn memory() -> Vec<AtomicU64> {
    (0..LAYOUT.words()).map(|_| AtomicU64::new(0)).collect()
}

fn total(breakers: Breakers<'_>) -> u64 {
    breakers.in_use(1, Priority::High, Resource::Pending)
}

/// Worker 0 holds one, then dies at `until` of a take or a release; the others do something; the master cleans up.
fn dies(take: bool, until: Step, meanwhile: impl Fn(&BreakerWorker<'_>, &BreakerWorker<'_>)) -> (u64, bool) {
    let words = memory();
    let breakers = Breakers::new(&words, LAYOUT).unwrap();
    let [dying, second, third] = [0, 1, 2].map(|slot| breakers.worker(slot).unwrap());
    let row = (1, Priority::High, Resource::Pending);
    let cell = breakers.cell(row.0, row.1, row.2).unwrap();
    assert!(dying.take(row.0, row.1, row.2, 10));
    assert!(second.take(row.0, row.1, row.2, 10));
    if take {
        dying.operate(true, cell, |count| (count < 10).then_some(count + 1), until);
    } else {
        dying.give_back(cell, until);
    }
    meanwhile(&second, &third);
    breakers.release_worker(0);
    let after = total(breakers);
    breakers.release_worker(0);
    let stable = total(breakers) == after;
    // The slot works for its next owner.
    let next = breakers.worker(0).unwrap();
    let works = next.take(row.0, row.1, row.2, 10) && total(breakers) == after + 1;
    next.release(row.0, row.1, row.2);
    (after, stable && works && total(breakers) == after)
}

#[test]
fn no_take_leaks_wherever_a_worker_dies() {
    let (priority, resource) = (Priority::High, Resource::Pending);
    for take in [true, false] {
        for until in [Step::Announced, Step::Changed, Step::Noted, Step::Done] {
            let case = format!("take {take}, {until:?}");
            assert_eq!(dies(take, until, |_, _| {}), (1, true), "{case}: alone");
            let after = dies(take, until, |second, _| assert!(second.take(1, priority, resource, 10)));
            assert_eq!(after, (2, true), "{case}: one writes over the signature");
            let after = dies(take, until, |second, third| {
                second.release(1, priority, resource);
                assert!(third.take(1, priority, resource, 10));
                assert!(third.take(1, priority, resource, 10));
                assert!(second.take(0, priority, resource, 10));
                assert!(second.take(1, priority, resource, 10));
            });
            assert_eq!(after, (3, true), "{case}: several write over the signature");
        }
    }
}

#[test]
fn two_workers_die_over_the_same_word() {
    for first in [Step::Announced, Step::Changed, Step::Noted] {
        for second in [Step::Announced, Step::Changed, Step::Noted] {
            for order in [[0, 1], [1, 0]] {
                let words = memory();
                let breakers = Breakers::new(&words, LAYOUT).unwrap();
                for (slot, until) in [(0, first), (1, second)] {
                    let worker = breakers.worker(slot).unwrap();
                    worker.take(1, Priority::High, Resource::Pending, 9);
                    worker.operate(true, CELLS + 5, |count| Some(count + 1), until);
                }
                for slot in order {
                    breakers.release_worker(slot);
                }
                assert_eq!(total(breakers), 0, "{first:?} {second:?} {order:?}");
            }
        }
    }
}

/// An acknowledgement of an old operation must not be taken for one of the operation that was announced last.
#[test]
fn a_refused_take_is_not_mistaken_for_an_earlier_one() {
    let words = memory();
    let breakers = Breakers::new(&words, LAYOUT).unwrap();
    let [dying, other] = [0, 1].map(|slot| breakers.worker(slot).unwrap());
    let cell = CELLS + 5;
    dying.mark(1);
    dying.operate(true, cell, |count| Some(count + 1), Step::Noted);
    assert!(other.take(1, Priority::High, Resource::Pending, 2));
    dying.breakers.head(0, ANNOUNCED).store(0, Release);
    assert!(!dying.operate(true, cell, |count| (count < 2).then_some(count + 1), Step::Changed));
    breakers.release_worker(0);
    assert_eq!(total(breakers), 1);
}

/// One worker dies at every step in turn while two others take and give back on the same word.
#[test]
fn deaths_among_the_living() {
    let words = memory();
    let breakers = Breakers::new(&words, LAYOUT).unwrap();
    let (priority, resource) = (Priority::High, Resource::Pending);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let living = [1, 2].map(|slot| {
            let (worker, done) = (breakers.worker(slot).unwrap(), &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    assert!(worker.take(1, priority, resource, 4));
                    worker.release(1, priority, resource);
                }
            })
        });
        let steps = [Step::Announced, Step::Changed, Step::Noted, Step::Done];
        for round in 0..20_000 {
            let dying = breakers.worker(0).unwrap();
            let held = dying.take(1, priority, resource, 2);
            let until = steps[round % 4];
            if held && round % 8 < 4 {
                dying.give_back(CELLS + 5, until);
            } else {
                dying.operate(true, CELLS + 5, |count| (count < 2).then_some(count + 1), until);
            }
            breakers.release_worker(0);
        }
        done.store(true, Relaxed);
        for thread in living {
            thread.join().unwrap();
        }
    });
    assert_eq!(total(breakers), 0);
}
