//! Circuit breakers that hold across all worker processes, and that a worker which dies does not jam.
//!
//! Source: Envoy, "Circuit breaking"; there each worker may exceed a limit for a moment, here none can. A total is one
//! word that all workers change by compare-and-swap. Beside it each worker writes down its own share, which the master
//! takes back when the worker is gone.
//!
//! A worker may die between the two. So it announces what it is about to do, and signs the total with its own number and
//! the number of the operation. Whoever replaces such a signature while the announcement still stands first writes an
//! acknowledgement. The master then knows whether the announced change happened: the total bears the signature, or
//! someone acknowledged it (Attiya, Ben-Baruch, Hendler: "Nesting-Safe Recoverable Linearizability", 2018). Signatures
//! repeat after 2^28 operations of a worker.

pub use crate::upstream::breaker_limits::{BreakerLimits, Priority, Resource};
use crate::upstream::breaker_words::{
    ANNOUNCED, CELLS, HEAD, Held, MAX_COUNT, MAX_WORKERS, NUMBER, Operation, ROWS_USED, next_number,
};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// How many clusters and worker slots there are. Fresh memory is all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLayout {
    /// Rows.
    pub clusters: usize,
    /// Worker slots, at most 4094.
    pub workers: usize,
}

impl BreakerLayout {
    /// 64-bit words of the whole memory.
    #[must_use]
    pub const fn words(self) -> usize {
        self.master_at() + self.workers
    }

    const fn region_words(self) -> usize {
        HEAD + self.workers + self.clusters * CELLS
    }

    const fn region_at(self, worker: usize) -> usize {
        self.clusters * CELLS + worker * self.region_words()
    }

    const fn master_at(self) -> usize {
        self.region_at(self.workers)
    }
}

/// The breakers of all clusters over a borrowed slice of words.
#[derive(Debug, Clone, Copy)]
pub struct Breakers<'m> {
    layout: BreakerLayout,
    words: &'m [AtomicU64],
}

/// The breakers as the process of one worker slot uses them. Only one thread may, so it cannot be shared.
#[derive(Debug)]
pub struct BreakerWorker<'m> {
    breakers: Breakers<'m>,
    worker: usize,
    one_thread: PhantomData<Cell<()>>,
}

impl<'m> Breakers<'m> {
    /// Use `words`; `None` if they are fewer than the layout needs, or the layout has too many workers.
    #[must_use]
    pub fn new(words: &'m [AtomicU64], layout: BreakerLayout) -> Option<Self> {
        let words = words.get(..layout.words())?;
        (layout.workers <= MAX_WORKERS).then_some(Self { layout, words })
    }

    /// The breakers for the process in a worker slot; `None` if there is no such slot.
    #[must_use]
    pub fn worker(self, worker: usize) -> Option<BreakerWorker<'m>> {
        (worker < self.layout.workers).then_some(BreakerWorker { breakers: self, worker, one_thread: PhantomData })
    }

    /// What all workers hold.
    #[must_use]
    pub fn in_use(self, cluster: usize, priority: Priority, resource: Resource) -> u64 {
        self.cell(cluster, priority, resource).map_or(0, |cell| Held::read(self.words[cell].load(Relaxed)).count)
    }

    /// Take back all that a worker holds whose process is gone. Only the master may, and only once the process is
    /// certainly dead; its slot can be used again afterwards.
    pub fn release_worker(self, worker: usize) {
        if worker >= self.layout.workers {
            return;
        }
        self.finish_announced(worker);
        let used = (self.head(worker, ROWS_USED).load(Acquire) as usize).min(self.layout.clusters);
        for cell in 0..used * CELLS {
            let share = self.share(worker, cell);
            let held = Held::read(share.load(Acquire));
            if held.count > 0 {
                self.change(self.layout.workers, cell, 0, |count| Some(count.saturating_sub(held.count)));
                share.store(Held { count: 0, ..held }.word(), Release);
            }
        }
    }

    /// Write down in its share what a dead worker did to a total.
    fn finish_announced(self, worker: usize) {
        let announced = self.head(worker, ANNOUNCED);
        let Some(operation) = Operation::read(announced.load(Acquire)) else { return };
        let Operation { take, cell, number } = operation;
        if cell < self.layout.clusters * CELLS {
            // The total first: an acknowledgement is written before the signature disappears.
            let total = Held::read(self.words[cell].load(Acquire));
            let signed = total.writer == worker as u64 + 1 && total.number == number;
            let acknowledged =
                (0..=self.layout.workers).any(|by| self.acknowledgement(by, worker).load(Acquire) == operation.word());
            if signed || acknowledged {
                let share = self.share(worker, cell);
                if Held::read(share.load(Acquire)).number != number {
                    note(share, take, number);
                }
            }
        }
        announced.store(0, Release);
    }

    /// Replace a total, signed by the worker `by` (the number of workers stands for the master), unless `next` declines.
    fn change(self, by: usize, cell: usize, number: u64, next: impl Fn(u64) -> Option<u64>) -> bool {
        let writer = if by < self.layout.workers { by as u64 + 1 } else { 0 };
        let total = &self.words[cell];
        let mut word = total.load(Acquire);
        loop {
            let held = Held::read(word);
            let Some(count) = next(held.count) else { return false };
            self.acknowledge(by, cell, held);
            match total.compare_exchange_weak(word, Held { count, writer, number }.word(), AcqRel, Acquire) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Write down that the operation which `held` is signed with happened, if its worker has not done so yet.
    fn acknowledge(self, by: usize, cell: usize, held: Held) {
        let Some(signer) = (held.writer as usize).checked_sub(1).filter(|&signer| signer < self.layout.workers) else {
            return;
        };
        if signer == by {
            return;
        }
        // The signature was seen, so this reads the announcement of that operation or a later state. Later ones need no
        // acknowledgement; without this look one for an old signature could overwrite one that is needed.
        let announced = self.head(signer, ANNOUNCED).load(Acquire);
        if Operation::read(announced).is_some_and(|it| it.cell == cell && it.number == held.number) {
            self.acknowledgement(by, signer).store(announced, Release);
        }
    }

    fn cell(self, cluster: usize, priority: Priority, resource: Resource) -> Option<usize> {
        (cluster < self.layout.clusters).then_some(cluster * CELLS + priority as usize * 4 + resource as usize)
    }

    fn head(self, worker: usize, at: usize) -> &'m AtomicU64 {
        &self.words[self.layout.region_at(worker) + at]
    }

    fn acknowledgement(self, by: usize, of: usize) -> &'m AtomicU64 {
        let master = by == self.layout.workers;
        &self.words[if master { self.layout.master_at() } else { self.layout.region_at(by) + HEAD } + of]
    }

    fn share(self, worker: usize, cell: usize) -> &'m AtomicU64 {
        &self.words[self.layout.region_at(worker) + HEAD + self.layout.workers + cell]
    }
}

/// Enter an operation in a share.
fn note(share: &AtomicU64, take: bool, number: u64) {
    let held = Held::read(share.load(Relaxed));
    let count = if take { held.count + 1 } else { held.count.saturating_sub(1) };
    share.store(Held { count, writer: 0, number }.word(), Release);
}

/// Where an operation is; tests stop workers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Announced,
    Changed,
    Noted,
    Done,
}

impl BreakerWorker<'_> {
    /// Take one; false if `limit` are taken already. A limit of 16,777,215 or more is that. A cluster without a row is
    /// not limited.
    pub fn take(&self, cluster: usize, priority: Priority, resource: Resource, limit: u32) -> bool {
        let Some(cell) = self.breakers.cell(cluster, priority, resource) else { return true };
        self.mark(cluster);
        let limit = u64::from(limit).min(MAX_COUNT);
        self.operate(true, cell, |count| (count < limit).then_some(count + 1), Step::Done)
    }

    /// Give back one that was taken.
    pub fn release(&self, cluster: usize, priority: Priority, resource: Resource) {
        let Some(cell) = self.breakers.cell(cluster, priority, resource) else { return };
        self.give_back(cell, Step::Done);
    }

    fn give_back(&self, cell: usize, until: Step) {
        if Held::read(self.breakers.share(self.worker, cell).load(Relaxed)).count > 0 {
            self.operate(false, cell, |count| Some(count.saturating_sub(1)), until);
        }
    }

    /// The master looks only at rows that were used: even reading allocates the page of a memory file.
    fn mark(&self, cluster: usize) {
        let used = self.breakers.head(self.worker, ROWS_USED);
        if used.load(Relaxed) <= cluster as u64 {
            used.store(cluster as u64 + 1, Release);
        }
    }

    /// Announce, change the total, note it in the share, withdraw. All stores are ordered as written: what a process did
    /// before it died is what others see.
    fn operate(&self, take: bool, cell: usize, next: impl Fn(u64) -> Option<u64>, until: Step) -> bool {
        let head = |at| self.breakers.head(self.worker, at);
        let number = next_number(head(NUMBER).load(Relaxed));
        head(NUMBER).store(number, Release);
        head(ANNOUNCED).store(Operation { take, cell, number }.word(), Release);
        if until == Step::Announced {
            return false;
        }
        let changed = self.breakers.change(self.worker, cell, number, next);
        if until == Step::Changed {
            return changed;
        }
        if changed {
            note(self.breakers.share(self.worker, cell), take, number);
        }
        if until != Step::Noted {
            head(ANNOUNCED).store(0, Release);
        }
        changed
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
