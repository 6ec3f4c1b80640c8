use proptest::prelude::*;
use sluice_policy::gcra::{self, Decision, Rate};
use sluice_policy::table::{ENTRY_WORDS, WINDOW};
use sluice_policy::{KeyHasher, LimitTable};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;

fn words(entries: usize) -> Vec<AtomicU64> {
    (0..entries * ENTRY_WORDS).map(|_| AtomicU64::new(0)).collect()
}

/// Keys that all live in the window that starts at entry 0 of a table of 1024.
fn rivals() -> impl Iterator<Item = u64> {
    (1..).map(|index: u64| index << 10)
}

#[test]
fn keys_are_the_same_everywhere_and_tell_parts_apart() {
    let rate = Rate::new(10, SECOND, 5);
    let key = |limit: &str, parts: &[&[u8]]| {
        parts.iter().fold(KeyHasher::new(limit, &rate), |hasher, part| hasher.part(part)).finish()
    };
    assert_eq!(key("a", &[b"1"]), key("a", &[b"1"]));
    let all =
        [key("a", &[b"bc"]), key("ab", &[b"c"]), key("a", &[b"b", b"c"]), key("a", &[b"bc", b""]), key("abc", &[])];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "{at}");
    }
    assert_ne!(KeyHasher::new("a", &rate).finish(), KeyHasher::new("a", &Rate::new(10, SECOND, 6)).finish());
}

#[test]
fn buckets_are_apart() {
    let memory = words(1024);
    let table = LimitTable::new(&memory);
    let rate = Rate::new(1, SECOND, 1);
    for key in 0..500 {
        assert!(table.take(key << 1, SECOND, 1, &rate).is_allowed(), "{key}");
    }
    assert!(!table.take(4, SECOND, 1, &rate).is_allowed());
    assert!(table.take(4, 2 * SECOND, 1, &rate).is_allowed());
    assert_eq!(table.evicted(), 0);
}

#[test]
fn an_idle_entry_is_given_away_and_a_busy_one_kept() {
    let memory = words(1024);
    let table = LimitTable::new(&memory);
    let slow = Rate::new(1, 100 * SECOND, 1);
    let fast = Rate::new(1, SECOND, 1);
    let keys: Vec<u64> = rivals().take(WINDOW + 1).collect();
    for (index, &key) in keys[..WINDOW].iter().enumerate() {
        assert!(table.take(key, SECOND, 1, if index == 7 { &fast } else { &slow }).is_allowed());
    }
    // Entry 7 is full again after a second: the newcomer gets it without harm to the others.
    assert!(table.take(keys[WINDOW], 3 * SECOND, 1, &slow).is_allowed());
    assert_eq!(table.evicted(), 0);
    assert_eq!(memory[7 * ENTRY_WORDS].load(Relaxed), keys[WINDOW]);
    for (index, &key) in keys[..WINDOW].iter().enumerate().filter(|&(index, _)| index != 7) {
        assert!(!table.take(key, 4 * SECOND, 1, &slow).is_allowed(), "{index}");
    }
}

#[test]
fn a_full_window_evicts_the_entry_next_to_expire() {
    let memory = words(1024);
    let table = LimitTable::new(&memory);
    let keys: Vec<u64> = rivals().take(WINDOW + 1).collect();
    for (index, &key) in keys[..WINDOW].iter().enumerate() {
        let seconds = if index == 11 { 50 } else { 100 };
        assert!(table.take(key, SECOND, 1, &Rate::new(1, seconds * SECOND, 1)).is_allowed());
    }
    let rate = Rate::new(1, 100 * SECOND, 1);
    assert!(table.take(keys[WINDOW], 2 * SECOND, 1, &rate).is_allowed());
    assert_eq!(table.evicted(), 1);
    assert_eq!(memory[11 * ENTRY_WORDS].load(Relaxed), keys[WINDOW]);
    assert!(!table.take(keys[WINDOW], 3 * SECOND, 1, &rate).is_allowed());
}

#[test]
fn an_entry_is_free_from_the_moment_its_bucket_is_full() {
    let memory = words(1024);
    let table = LimitTable::new(&memory);
    let rate = Rate::new(1, SECOND, 1);
    let keys: Vec<u64> = rivals().take(WINDOW + 1).collect();
    for &key in &keys[..WINDOW] {
        table.take(key, SECOND, 1, &rate);
    }
    assert!(table.take(keys[WINDOW], 2 * SECOND, 1, &rate).is_allowed());
    assert_eq!(table.evicted(), 0);
}

#[test]
fn small_memories() {
    let rate = Rate::new(1, SECOND, 3);
    assert_eq!(LimitTable::new(&[]).take(1, 1, 1, &rate), Decision::Allowed { remaining: 3 });
    let memory = words(3);
    let table = LimitTable::new(&memory);
    assert_eq!(table.entries(), 2);
    for key in 1..50 {
        assert!(table.take(key, 1, 3, &rate).is_allowed());
    }
    assert_eq!(memory[4].load(Relaxed), 0, "words beyond the power of two stay untouched");
}

#[test]
fn threads_together_take_exactly_the_burst_of_each_key() {
    let memory = words(1024);
    let table = LimitTable::new(&memory);
    let rate = Rate::new(1, 1000 * SECOND, 500);
    let taken: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..8 * 400 {
                    let key = round % 8;
                    let allowed = table.take((key as u64 + 1) << 10, SECOND, 1, &rate).is_allowed();
                    taken[key].fetch_add(u64::from(allowed), Relaxed);
                }
            });
        }
    });
    let taken: Vec<u64> = taken.iter().map(|count| count.load(Relaxed)).collect();
    assert_eq!(taken, [500; 8]);
}

proptest! {
    /// While no window overflows, the table is a map from keys to buckets.
    #[test]
    fn equals_a_map_of_buckets(steps in proptest::collection::vec((0_u64..12, 0_u64..SECOND, 1_u64..3), 1..300)) {
        let memory = words(64);
        let table = LimitTable::new(&memory);
        let rate = Rate::new(2, SECOND, 3);
        let mut map: HashMap<u64, AtomicU64> = HashMap::new();
        let mut now = 1;
        for (key, gap, n) in steps {
            now += gap;
            let want = gcra::take(map.entry(key).or_default(), now, n, &rate);
            prop_assert_eq!(table.take((key + 1) << 6, now, n, &rate), want);
        }
        prop_assert_eq!(table.evicted(), 0);
    }
}
