//! How a worker writes its counters.

use crate::counters::{Field, GLOBALS, Global};
use crate::latency;
use crate::stats::{
    BUCKETS_AT, CLASSES, CLASSES_AT, CLUSTER_MARK, CLUSTERS, CLUSTERS_AT, CODES, CODES_AT, FIELDS_AT, LATENCY_SUM_AT,
    LISTENER_MARK, LISTENERS, LISTENERS_AT, REJECTS, REJECTS_AT, ROW_WORDS,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Add to a word that has one writer.
pub fn add(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Subtract from a gauge that has one writer. It stops at zero: a reset by the master must not make it wrap.
pub fn sub(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).saturating_sub(n), Relaxed);
}

/// The counters of one worker. Only the process in that slot may write them.
#[derive(Debug, Clone, Copy)]
pub struct Region<'m>(&'m [AtomicU64]);

impl<'m> Region<'m> {
    /// `words` are exactly the words of one region.
    pub(crate) fn over(words: &'m [AtomicU64]) -> Self {
        Self(words)
    }

    /// The word of a number, for [`add`], [`sub`] or a store.
    #[must_use]
    pub fn word(self, number: Global) -> &'m AtomicU64 {
        &self.0[number as usize]
    }

    /// Count `n` more.
    pub fn add(self, number: Global, n: u64) {
        add(self.word(number), n);
    }

    /// Lower a gauge.
    pub fn sub(self, gauge: Global, n: u64) {
        sub(self.word(gauge), n);
    }

    /// Record the delay of one turn in microseconds.
    pub fn loop_lag(self, us: u64) {
        self.add(Global::LoopTurns, 1);
        self.add(Global::LoopLagSumUs, us);
        let longest = self.word(Global::LoopLagMaxUs);
        if us > longest.load(Relaxed) {
            longest.store(us, Relaxed);
        }
    }

    /// Count a refused request by the index of its reason.
    pub fn reject(self, reason: usize) {
        add(self.reject_word(reason), 1);
    }

    pub(crate) fn globals(self) -> &'m [AtomicU64] {
        &self.0[..GLOBALS]
    }

    pub(crate) fn reject_word(self, reason: usize) -> &'m AtomicU64 {
        &self.0[REJECTS_AT + reason.min(REJECTS - 1)]
    }

    /// The row of a listener; a slot out of range is the shared row 0.
    #[must_use]
    pub fn listener(self, slot: usize) -> Row<'m> {
        self.used_row(Table::Listeners, slot)
    }

    /// The row of a cluster; a slot out of range is the shared row 0.
    #[must_use]
    pub fn cluster(self, slot: usize) -> Row<'m> {
        self.used_row(Table::Clusters, slot)
    }

    /// Open connections of a listener. Reads no row that was never used.
    #[must_use]
    pub fn connections_of_listener(self, slot: usize) -> u64 {
        let used = slot < self.used(Table::Listeners);
        if used { self.row(Table::Listeners, slot).word(Field::ConnectionsActive).load(Relaxed) } else { 0 }
    }

    fn used_row(self, table: Table, slot: usize) -> Row<'m> {
        let slot = if slot < table.rows() { slot } else { 0 };
        let mark = &self.0[table.mark()];
        if mark.load(Relaxed) <= slot as u64 {
            mark.store(slot as u64 + 1, Relaxed);
        }
        self.row(table, slot)
    }

    /// How many rows of a table were ever used: the highest slot plus one.
    pub(crate) fn used(self, table: Table) -> usize {
        usize::try_from(self.0[table.mark()].load(Relaxed)).map_or(table.rows(), |used| used.min(table.rows()))
    }

    /// The rows of a table that were ever used.
    pub(crate) fn table(self, table: Table) -> impl Iterator<Item = Row<'m>> {
        (0..self.used(table)).map(move |slot| self.row(table, slot))
    }

    pub(crate) fn row(self, table: Table, slot: usize) -> Row<'m> {
        let start = table.start() + slot * ROW_WORDS;
        Row(&self.0[start..start + ROW_WORDS])
    }
}

/// The two tables of a region.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    Listeners,
    Clusters,
}

impl Table {
    const fn rows(self) -> usize {
        match self {
            Self::Listeners => LISTENERS,
            Self::Clusters => CLUSTERS,
        }
    }

    const fn start(self) -> usize {
        match self {
            Self::Listeners => LISTENERS_AT,
            Self::Clusters => CLUSTERS_AT,
        }
    }

    const fn mark(self) -> usize {
        match self {
            Self::Listeners => LISTENER_MARK,
            Self::Clusters => CLUSTER_MARK,
        }
    }
}

/// The counters of one listener or cluster in one worker.
#[derive(Debug, Clone, Copy)]
pub struct Row<'m>(pub(crate) &'m [AtomicU64]);

impl<'m> Row<'m> {
    /// The word of a number, for [`add`], [`sub`] or a store.
    #[must_use]
    pub fn word(self, field: Field) -> &'m AtomicU64 {
        &self.0[FIELDS_AT + field as usize]
    }

    /// Count `n` more.
    pub fn add(self, field: Field, n: u64) {
        add(self.word(field), n);
    }

    /// Lower a gauge.
    pub fn sub(self, gauge: Field, n: u64) {
        sub(self.word(gauge), n);
    }

    /// Tell how many endpoints of a cluster there are, may get requests, and are ejected.
    pub fn endpoints(self, all: usize, healthy: usize, ejected: usize) {
        for (field, count) in
            [(Field::EndpointsHealthy, healthy), (Field::EndpointsEjected, ejected), (Field::Endpoints, all)]
        {
            self.word(field).store(count as u64, Relaxed);
        }
    }

    /// Count an answered request: its status (0 if no answer was sent) and its duration in microseconds.
    pub fn response(self, status: u16, duration_us: u64) {
        let class = usize::from(status / 100);
        add(&self.0[CLASSES_AT + if class < CLASSES { class } else { 0 }], 1);
        if let Ok(code) = CODES.binary_search(&status) {
            add(&self.0[CODES_AT + code], 1);
        }
        add(&self.0[LATENCY_SUM_AT], duration_us);
        add(&self.0[BUCKETS_AT + latency::bucket(duration_us)], 1);
    }
}
