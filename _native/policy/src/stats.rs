//! Where each counter lives in the memory that master and workers share, and how a worker writes it.
//!
//! The memory is a header, one region per worker, the shared token buckets, the circuit breakers and the connections by
//! address, all 64-bit words. A region has exactly
//! one writer, so an addition is a plain load and store and costs no bus lock; readers see each word whole, and a sum
//! over words that change meanwhile is a little old but never torn. Rows that nobody touched are never written, nor read:
//! even a read allocates the page of a memory file, so each region says how many of its rows were ever handed out.

use crate::addresses::{self, Addresses};
pub use crate::counters::{FIELDS, Field, GLOBALS, Global};
use crate::latency;
use crate::region::Table;
pub use crate::region::{Region, Row, add, sub};
use crate::upstream::{BreakerLayout, Breakers};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use thiserror::Error;

/// First word of the memory: `SLUICE` and two zero bytes.
pub const MAGIC: u64 = 0x534c_5549_4345_0000;
/// Changes with every change of this layout.
pub const VERSION: u64 = 6;
/// Rows for listeners in each region; row 0 is shared by all that found no row.
pub const LISTENERS: usize = 64;
/// Rows for clusters in each region; row 0 is shared by all that found no row.
pub const CLUSTERS: usize = 4096;
/// Reasons of refusal that are counted apart; the last one takes every higher index.
pub const REJECTS: usize = 64;
/// Token buckets that all workers share.
pub const LIMIT_ENTRIES: usize = 65_536;

pub(crate) const HEADER_WORDS: usize = 64;
/// Word of the header that the master writes: see [`Pressure`].
const PRESSURE_AT: usize = 8;
/// Word of the header with the secret that [`Layout::open`] put there.
const SEED_AT: usize = 9;
pub(crate) const GLOBAL_WORDS: usize = 128;
pub(crate) const ROW_WORDS: usize = 64;
pub(crate) const REJECTS_AT: usize = GLOBAL_WORDS - REJECTS;
pub(crate) const CLUSTER_MARK: usize = REJECTS_AT - 1;
pub(crate) const LISTENER_MARK: usize = REJECTS_AT - 2;
pub(crate) const LISTENERS_AT: usize = GLOBAL_WORDS;
pub(crate) const CLUSTERS_AT: usize = LISTENERS_AT + LISTENERS * ROW_WORDS;
const REGION_WORDS: usize = CLUSTERS_AT + CLUSTERS * ROW_WORDS;

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

/// What a row says about the present: nothing once its worker is gone.
const GAUGES: [Field; 5] =
    [Field::ConnectionsActive, Field::InFlight, Field::Endpoints, Field::EndpointsHealthy, Field::EndpointsEjected];

/// How short of memory the whole pod is, as the master measures it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// Connections end with their next answer.
    Close,
    /// Requests are refused.
    Refuse,
}

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
        self.addresses_range().end
    }

    const fn addresses_range(self) -> Range<usize> {
        let start = self.breakers_range().end;
        start..start + addresses::words(self.workers)
    }

    /// Connections by client address.
    #[must_use]
    pub fn addresses(self, memory: &[AtomicU64]) -> Option<Addresses<'_>> {
        let seed = memory.get(SEED_AT)?.load(Relaxed);
        Some(Addresses::over(memory.get(self.addresses_range())?, seed))
    }

    /// How short of memory the pod is.
    #[must_use]
    pub fn pressure(self, memory: &[AtomicU64]) -> Pressure {
        match memory.get(PRESSURE_AT).map_or(0, |word| word.load(Relaxed)) {
            0 => Pressure::None,
            1 => Pressure::Close,
            _ => Pressure::Refuse,
        }
    }

    /// Tell the workers how short of memory the pod is.
    pub fn set_pressure(self, memory: &[AtomicU64], pressure: Pressure) {
        if let Some(word) = memory.get(PRESSURE_AT) {
            word.store(pressure as u64, Relaxed);
        }
    }

    const fn breaker_layout(self) -> BreakerLayout {
        BreakerLayout { clusters: CLUSTERS, workers: self.workers }
    }

    const fn breakers_range(self) -> Range<usize> {
        let start = self.limit_table_range().end;
        start..start + self.breaker_layout().words()
    }

    /// The circuit breakers, whose rows are those of the clusters. Row 0 is shared and should not be limited.
    #[must_use]
    pub fn breakers(self, memory: &[AtomicU64]) -> Option<Breakers<'_>> {
        Breakers::new(memory.get(self.breakers_range())?, self.breaker_layout())
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

    /// Claim fresh (all zero) memory for this layout, or check that it was claimed for the same one. `seed` is a secret
    /// random number for the hashes that all workers must agree on; memory that is in use keeps the one it has.
    pub fn open(self, memory: &[AtomicU64], seed: u64) -> Result<(), LayoutError> {
        self.fits(memory)?;
        let [magic, version, workers] = std::array::from_fn(|at| memory[at].load(Relaxed));
        if [magic, version, workers] == [0; 3] {
            memory[1].store(VERSION, Relaxed);
            memory[2].store(self.workers as u64, Relaxed);
            memory[SEED_AT].store(seed, Relaxed);
            memory[0].store(MAGIC, Relaxed);
            return Ok(());
        }
        if (magic, version, workers) == (MAGIC, VERSION, self.workers as u64) {
            return Ok(());
        }
        Err(LayoutError::Foreign { magic, version, workers })
    }

    /// Turns of each worker slot so far. An engine turns at least once a second, also when nobody asks for anything.
    pub fn turns(self, memory: &[AtomicU64]) -> Result<Vec<u64>, LayoutError> {
        (0..self.workers).map(|worker| Ok(self.region(memory, worker)?.word(Global::LoopTurns).load(Relaxed))).collect()
    }

    /// The counters of a worker slot.
    pub fn region(self, memory: &[AtomicU64], worker: usize) -> Result<Region<'_>, LayoutError> {
        self.fits(memory)?;
        if worker >= self.workers {
            return Err(LayoutError::NoSlot(worker));
        }
        Ok(Region::over(&memory[self.region_range(worker)]))
    }

    /// Zero the gauges of a worker slot whose process is gone, and give back what it held of circuit breakers and of the
    /// connections of addresses. Words that are zero already are not written.
    pub fn reset_gauges(self, memory: &[AtomicU64], worker: usize) -> Result<(), LayoutError> {
        let region = self.region(memory, worker)?;
        let rows = region.table(Table::Listeners).chain(region.table(Table::Clusters));
        let in_rows = rows.flat_map(|row| GAUGES.map(|gauge| row.word(gauge)));
        let own = [Global::Active, Global::InFlight, Global::Tasks].map(|gauge| region.word(gauge));
        for word in in_rows.chain(own) {
            if word.load(Relaxed) != 0 {
                word.store(0, Relaxed);
            }
        }
        if let Some(breakers) = self.breakers(memory) {
            breakers.release_worker(worker);
        }
        if let Some(addresses) = self.addresses(memory) {
            addresses.release_worker(worker);
        }
        Ok(())
    }

    pub(crate) fn fits(self, memory: &[AtomicU64]) -> Result<(), LayoutError> {
        let (needed, found) = (self.words(), memory.len());
        if found < needed { Err(LayoutError::TooSmall { needed, found }) } else { Ok(()) }
    }
}
