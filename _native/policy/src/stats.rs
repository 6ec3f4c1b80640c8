//! Where each counter lives in the memory that master and workers share, and how a worker writes it.
//!
//! The memory is a header, one region per worker and the shared token buckets, all 64-bit words. A region has exactly
//! one writer, so an addition is a plain load and store and costs no bus lock; readers see each word whole, and a sum
//! over words that change meanwhile is a little old but never torn. Rows that nobody touched are never written, nor read:
//! even a read allocates the page of a memory file, so each region says how many of its rows were ever handed out.

use crate::latency;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use thiserror::Error;

/// First word of the memory: `SLUICE` and two zero bytes.
pub const MAGIC: u64 = 0x534c_5549_4345_0000;
/// Changes with every change of this layout.
pub const VERSION: u64 = 1;
/// Rows for listeners in each region; row 0 is shared by all that found no row.
pub const LISTENERS: usize = 64;
/// Rows for clusters in each region; row 0 is shared by all that found no row.
pub const CLUSTERS: usize = 4096;
/// Reasons of refusal that are counted apart; the last one takes every higher index.
pub const REJECTS: usize = 64;
/// Token buckets that all workers share.
pub const LIMIT_ENTRIES: usize = 65_536;

pub(crate) const HEADER_WORDS: usize = 64;
pub(crate) const GLOBAL_WORDS: usize = 128;
pub(crate) const ROW_WORDS: usize = 64;
const REJECTS_AT: usize = GLOBAL_WORDS - REJECTS;
const CLUSTER_MARK: usize = REJECTS_AT - 1;
const LISTENER_MARK: usize = REJECTS_AT - 2;
const LISTENERS_AT: usize = GLOBAL_WORDS;
const CLUSTERS_AT: usize = LISTENERS_AT + LISTENERS * ROW_WORDS;
const REGION_WORDS: usize = CLUSTERS_AT + CLUSTERS * ROW_WORDS;

/// Numbers of a worker as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Global {
    /// Requests whose head was read.
    Requests,
    /// Connections accepted.
    Accepted,
    /// Gauge: downstream connections that are open.
    Active,
    /// Gauge: requests being served.
    InFlight,
    /// Requests refused by a limit.
    RateLimited,
    /// Requests that a limit in dry-run mode would have refused.
    RateLimitedDryRun,
    /// Token buckets in use that made room for another key.
    LimitEvictions,
    /// Requests handed to Python.
    Upcalls,
    /// Tasks that panicked.
    Panics,
    /// Value: version of the configuration in force.
    ConfigVersion,
    /// Value: longest delay of a turn in microseconds.
    LoopLagMaxUs,
    /// Sum of the delays of all turns in microseconds.
    LoopLagSumUs,
    /// Turns of the engine.
    LoopTurns,
    /// Access-log lines written.
    AccessLogLines,
    /// Access-log lines that found no room.
    AccessLogDropped,
    /// TLS handshakes that failed.
    TlsFailures,
}

/// Number of [`Global`] words.
pub const GLOBALS: usize = Global::TlsFailures as usize + 1;

/// Numbers of one listener or cluster, beside statuses and latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Body and head bytes received from the peer.
    BytesIn,
    /// Body and head bytes sent to the peer.
    BytesOut,
    /// Connections made (cluster) or accepted (listener).
    Connections,
    /// Gauge: connections that are open.
    ConnectionsActive,
    /// Connections that could not be made.
    ConnectionsFailed,
    /// Requests that ran out of time.
    Timeouts,
    /// Further attempts.
    Retries,
    /// Gauge: requests being served.
    InFlight,
}

/// Number of [`Field`] words.
pub const FIELDS: usize = Field::InFlight as usize + 1;

/// Statuses that are counted one by one, beside their class.
pub const CODES: [u16; 16] = [101, 200, 204, 301, 304, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504];
/// Status classes: index 1 to 5 is the first digit, 0 everything else (no answer was sent).
pub const CLASSES: usize = 6;

pub(crate) const CLASSES_AT: usize = 0;
pub(crate) const CODES_AT: usize = CLASSES_AT + CLASSES;
pub(crate) const FIELDS_AT: usize = CODES_AT + CODES.len();
pub(crate) const LATENCY_SUM_AT: usize = FIELDS_AT + FIELDS;
pub(crate) const BUCKETS_AT: usize = LATENCY_SUM_AT + 1;
const _: () = assert!(BUCKETS_AT + latency::BUCKETS <= ROW_WORDS);
const _: () = assert!(GLOBALS <= LISTENER_MARK);

/// Why a piece of memory cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// The memory is smaller than the layout.
    #[error("the shared memory has {found} words, {needed} are needed")]
    TooSmall {
        /// Words of the layout.
        needed: usize,
        /// Words of the memory.
        found: usize,
    },
    /// Another program or another version wrote the header.
    #[error("the shared memory has another layout (magic {magic:#x}, version {version}, {workers} workers)")]
    Foreign {
        /// First word.
        magic: u64,
        /// Second word.
        version: u64,
        /// Third word.
        workers: u64,
    },
    /// There is no such worker slot.
    #[error("there is no worker slot {0}")]
    NoSlot(usize),
}

/// The layout for a number of worker slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Worker slots.
    pub workers: usize,
}

impl Layout {
    /// 64-bit words of the whole memory.
    #[must_use]
    pub const fn words(self) -> usize {
        self.limit_table_range().end
    }

    /// Words of the shared token buckets, see [`crate::table::LimitTable`].
    #[must_use]
    pub const fn limit_table_range(self) -> Range<usize> {
        let start = HEADER_WORDS + self.workers * REGION_WORDS;
        start..start + LIMIT_ENTRIES * crate::table::ENTRY_WORDS
    }

    /// Words of the region of a worker slot, which must be below [`Layout::workers`].
    #[must_use]
    pub const fn region_range(self, worker: usize) -> Range<usize> {
        let start = HEADER_WORDS + worker * REGION_WORDS;
        start..start + REGION_WORDS
    }

    /// Claim fresh (all zero) memory for this layout, or check that it was claimed for the same one.
    pub fn open(self, memory: &[AtomicU64]) -> Result<(), LayoutError> {
        self.fits(memory)?;
        let [magic, version, workers] = std::array::from_fn(|at| memory[at].load(Relaxed));
        if [magic, version, workers] == [0; 3] {
            memory[1].store(VERSION, Relaxed);
            memory[2].store(self.workers as u64, Relaxed);
            memory[0].store(MAGIC, Relaxed);
            return Ok(());
        }
        if (magic, version, workers) == (MAGIC, VERSION, self.workers as u64) {
            return Ok(());
        }
        Err(LayoutError::Foreign { magic, version, workers })
    }

    /// The counters of a worker slot.
    pub fn region(self, memory: &[AtomicU64], worker: usize) -> Result<Region<'_>, LayoutError> {
        self.fits(memory)?;
        if worker >= self.workers {
            return Err(LayoutError::NoSlot(worker));
        }
        Ok(Region(&memory[self.region_range(worker)]))
    }

    /// Zero the gauges of a worker slot whose process is gone. Words that are zero already are not written.
    pub fn reset_gauges(self, memory: &[AtomicU64], worker: usize) -> Result<(), LayoutError> {
        let region = self.region(memory, worker)?;
        let rows = region.table(Table::Listeners).chain(region.table(Table::Clusters));
        let in_rows = rows.flat_map(|row| [row.word(Field::ConnectionsActive), row.word(Field::InFlight)]);
        for word in in_rows.chain([region.word(Global::Active), region.word(Global::InFlight)]) {
            if word.load(Relaxed) != 0 {
                word.store(0, Relaxed);
            }
        }
        Ok(())
    }

    pub(crate) fn fits(self, memory: &[AtomicU64]) -> Result<(), LayoutError> {
        let (needed, found) = (self.words(), memory.len());
        if found < needed { Err(LayoutError::TooSmall { needed, found }) } else { Ok(()) }
    }
}

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
