use sluice_policy::stats::{CLUSTERS, Field, Global, Layout, LayoutError, MAGIC};
use sluice_policy::upstream::{Priority, Resource};
use sluice_policy::{LimitTable, Rate, latency};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn memory(layout: Layout) -> Vec<AtomicU64> {
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.open(&memory, 1).unwrap();
    memory
}

#[test]
fn parts_do_not_overlap() {
    let layout = Layout { workers: 3 };
    let mut end = 64;
    for worker in 0..3 {
        let range = layout.region_range(worker);
        assert_eq!(range.start, end);
        end = range.end;
    }
    assert_eq!(layout.limit_table_range().start, end);
    assert!(layout.limit_table_range().end < layout.words(), "the breakers come last");
    let words: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    let breakers = layout.breakers(&words).unwrap();
    let last = CLUSTERS - 1;
    let worker = breakers.worker(layout.workers - 1).unwrap();
    assert!(worker.take(last, Priority::High, Resource::Retries, 1));
    assert!(words[..layout.limit_table_range().end].iter().all(|word| word.load(Relaxed) == 0));
    layout.reset_gauges(&words, layout.workers - 1).unwrap();
    assert_eq!(breakers.in_use(last, Priority::High, Resource::Retries), 0);
    let memory = memory(layout);
    let table = LimitTable::new(&memory[layout.limit_table_range()]);
    assert_eq!(table.entries(), 65_536);
    for key in 0..1000 {
        table.take(key << 3, 1, 1, &Rate::new(1, 1000, 1));
    }
    assert!(layout.sum(&memory).unwrap().clusters.is_empty());
}

#[test]
fn memory_is_checked() {
    let layout = Layout { workers: 2 };
    let memory = memory(layout);
    assert_eq!(layout.open(&memory, 1), Ok(()));
    assert_eq!(memory[0].load(Relaxed), MAGIC);
    let too_small = LayoutError::TooSmall { needed: layout.words(), found: 10 };
    assert_eq!(layout.open(&memory[..10], 1), Err(too_small));
    assert!(layout.region(&memory[..10], 0).is_err());
    assert_eq!(layout.region(&memory, 2).unwrap_err(), LayoutError::NoSlot(2));
    assert!(matches!(Layout { workers: 1 }.open(&memory, 1), Err(LayoutError::Foreign { workers: 2, .. })));
    memory[1].store(99, Relaxed);
    assert!(matches!(layout.open(&memory, 1), Err(LayoutError::Foreign { version: 99, .. })));
}

#[test]
fn whoever_claims_the_memory_chooses_the_seed() {
    let layout = Layout { workers: 1 };
    let address = "192.0.2.1".parse().unwrap();
    let key = |memory: &[AtomicU64]| layout.addresses(memory).unwrap().key(address);
    let [one, other] = [1, 2].map(|seed| {
        let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
        layout.open(&memory, seed).unwrap();
        memory
    });
    assert_ne!(key(&one), key(&other));
    let before = key(&one);
    layout.open(&one, 2).unwrap();
    assert_eq!(key(&one), before, "a worker that comes later agrees with the others");
}

#[test]
fn counts_are_summed_over_workers() {
    let layout = Layout { workers: 2 };
    let memory = memory(layout);
    for worker in 0..2 {
        let region = layout.region(&memory, worker).unwrap();
        region.add(Global::Requests, 10 + worker as u64);
        region.word(Global::ConfigVersion).store(7 + worker as u64, Relaxed);
        region.loop_lag(100 * (worker as u64 + 1));
        region.reject(3);
        region.reject(1_000_000);
        let row = region.cluster(17);
        row.response(200, 900);
        row.response(503, 70_000_000);
        row.response(0, 1);
        row.response(999, 1);
        row.add(Field::BytesIn, 5);
        row.add(Field::ConnectionsActive, 2);
    }
    layout.region(&memory, 1).unwrap().listener(2).add(Field::Connections, 4);
    let totals = layout.sum(&memory).unwrap();
    assert_eq!(totals.get(Global::Requests), 21);
    assert_eq!(totals.get(Global::ConfigVersion), 7, "the oldest that is still served");
    assert_eq!(totals.config_versions, [7, 8]);
    assert_eq!(
        (totals.get(Global::LoopLagMaxUs), totals.get(Global::LoopLagSumUs), totals.get(Global::LoopTurns)),
        (200, 300, 2)
    );
    assert_eq!(totals.rejects, [(3, 2), (63, 2)]);
    let [row] = &totals.clusters[..] else { panic!("one row") };
    assert_eq!(row.slot, 17);
    assert_eq!(row.classes, [4, 0, 2, 0, 0, 2]);
    assert_eq!((row.codes[1], row.codes[14]), (2, 2));
    assert_eq!(row.requests(), 8);
    assert_eq!(row.latency_sum_us, 2 * (900 + 70_000_000 + 2));
    assert_eq!(row.latency[latency::bucket(900)], 2);
    assert_eq!(row.latency[latency::BUCKETS - 1], 2);
    assert_eq!(row.get(Field::BytesIn), 10);
    assert_eq!(
        (totals.listeners.len(), totals.listeners[0].slot, totals.listeners[0].get(Field::Connections)),
        (1, 2, 4)
    );
}

#[test]
fn untouched_rows_stay_untouched() {
    let layout = Layout { workers: 1 };
    let memory = memory(layout);
    layout.region(&memory, 0).unwrap().cluster(3).response(200, 1);
    layout.reset_gauges(&memory, 0).unwrap();
    layout.sum(&memory).unwrap();
    let range = layout.region_range(0);
    let written = memory[range.clone()].iter().filter(|word| word.load(Relaxed) != 0).count();
    assert_eq!(written, 5, "a class, a code, a sum, a bucket and the mark of the table");
    // The last row is inside the region, a slot without a row is row 0.
    let region = layout.region(&memory, 0).unwrap();
    region.cluster(CLUSTERS - 1).add(Field::Retries, 1);
    region.cluster(CLUSTERS).add(Field::Retries, 5);
    let totals = layout.sum(&memory).unwrap();
    assert_eq!(
        totals.clusters.iter().map(|row| (row.slot, row.get(Field::Retries))).collect::<Vec<_>>(),
        [(0, 5), (3, 0), (CLUSTERS - 1, 1)]
    );
}

#[test]
fn rows_are_found_from_the_first_on() {
    let layout = Layout { workers: 1 };
    let memory = memory(layout);
    let region = layout.region(&memory, 0).unwrap();
    for slot in 0..3 {
        region.cluster(slot).response(204, 1);
        assert_eq!(layout.sum(&memory).unwrap().clusters.len(), slot + 1);
    }
}

#[test]
fn workers_may_differ_about_endpoints() {
    let layout = Layout { workers: 3 };
    let memory = memory(layout);
    layout.region(&memory, 0).unwrap().cluster(5).endpoints(4, 3, 0);
    layout.region(&memory, 1).unwrap().cluster(5).endpoints(4, 2, 1);
    layout.region(&memory, 2).unwrap().cluster(5).add(Field::Connections, 1);
    let told = || {
        let totals = layout.sum(&memory).unwrap();
        [Field::Endpoints, Field::EndpointsHealthy, Field::EndpointsEjected].map(|field| totals.clusters[0].get(field))
    };
    assert_eq!(told(), [4, 2, 1], "the third worker knows nothing");
    layout.reset_gauges(&memory, 1).unwrap();
    assert_eq!(told(), [4, 3, 0]);
}

#[test]
fn turns_are_told_by_worker() {
    let layout = Layout { workers: 2 };
    let memory = memory(layout);
    layout.region(&memory, 1).unwrap().loop_lag(5);
    assert_eq!(layout.turns(&memory).unwrap(), [0, 1]);
    assert!(layout.turns(&memory[..10]).is_err());
}

#[test]
fn gauges_of_a_dead_worker_are_reset() {
    let layout = Layout { workers: 2 };
    let memory = memory(layout);
    for worker in 0..2 {
        let region = layout.region(&memory, worker).unwrap();
        region.add(Global::Active, 3);
        region.add(Global::Tasks, 7);
        region.add(Global::Accepted, 3);
        region.cluster(5).add(Field::ConnectionsActive, 4);
        region.cluster(5).add(Field::Connections, 4);
        region.listener(1).add(Field::InFlight, 2);
    }
    layout.reset_gauges(&memory, 0).unwrap();
    let totals = layout.sum(&memory).unwrap();
    assert_eq!((totals.get(Global::Active), totals.get(Global::Accepted)), (3, 6));
    assert_eq!(totals.get(Global::Tasks), 7);
    assert_eq!((totals.clusters[0].get(Field::ConnectionsActive), totals.clusters[0].get(Field::Connections)), (4, 8));
    assert_eq!(totals.listeners[0].get(Field::InFlight), 2);
    let region = layout.region(&memory, 0).unwrap();
    region.sub(Global::Active, 1);
    assert_eq!(region.word(Global::Active).load(Relaxed), 0, "a late decrement does not wrap");
}
