//! A fixed hash table of token buckets over memory that several processes share.
//!
//! An entry is two words: the fingerprint of its key (0 = never used) and the TAT of its bucket. An entry whose TAT has
//! passed is a full bucket, which is what a key without an entry has too, so such an entry may be given to another key
//! by one compare-and-swap on the fingerprint.
//!
//! Races that are accepted: a process that found its entry just before another one took it over charges its tokens to
//! the new owner, and two processes that see different free entries may start two buckets for one key, of which the
//! first in probe order is used from then on. Both need an idle or evicted entry and are worth at most one burst once.

use crate::gcra::{self, Decision, Rate};
use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Entries that a key may live in, starting at its home position: 256 bytes, four cache lines.
pub const WINDOW: usize = 16;
/// Words of one entry.
pub const ENTRY_WORDS: usize = 2;

/// Seeds that every process uses: a key must hash alike everywhere. (Digits of the square roots of 2, 3, 5 and 7.)
const SEEDS: RandomState =
    RandomState::with_seeds(0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1);

/// Builds the 64-bit key of a bucket from the name of its limit and the values that select the bucket.
pub struct KeyHasher(ahash::AHasher);

impl KeyHasher {
    /// Start with the limit. Its numbers are part of the key, so that a changed limit starts with full buckets instead
    /// of reading the debts that the old numbers left.
    #[must_use]
    pub fn new(limit: &str, rate: &Rate) -> Self {
        let mut hasher = SEEDS.build_hasher();
        for part in rate.parts() {
            hasher.write_u64(part);
        }
        Self(hasher).part(limit.as_bytes())
    }

    /// Add one value. Values are delimited: `("a", "bc")` and `("ab", "c")` differ.
    #[must_use]
    pub fn part(mut self, value: &[u8]) -> Self {
        self.0.write_usize(value.len());
        self.0.write(value);
        self
    }

    /// The key.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// Buckets over a borrowed slice of words.
#[derive(Debug)]
pub struct LimitTable<'m> {
    words: &'m [AtomicU64],
    mask: usize,
    evicted: AtomicU64,
}

/// What a look through the window of a key found.
enum Found<'m> {
    /// The bucket of the key.
    Bucket(&'m AtomicU64),
    /// No bucket; this entry never had an owner or its bucket is full again.
    Free { fingerprint: &'m AtomicU64, owner: u64, tat: &'m AtomicU64 },
    /// No bucket and every entry is in use; this one is the next to be full.
    Busy { fingerprint: &'m AtomicU64, owner: u64, tat: &'m AtomicU64 },
}

impl<'m> LimitTable<'m> {
    /// Use `words` as a table. The number of entries is rounded down to a power of two; fewer than two words make a
    /// table that allows everything.
    #[must_use]
    pub fn new(words: &'m [AtomicU64]) -> Self {
        let entries = words.len() / ENTRY_WORDS;
        let entries = if entries == 0 { 0 } else { 1 << entries.ilog2() };
        Self { words: &words[..entries * ENTRY_WORDS], mask: entries.saturating_sub(1), evicted: AtomicU64::new(0) }
    }

    /// Entries of the table.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.words.len() / ENTRY_WORDS
    }

    /// Buckets in use that had to make room for another key since this value was made.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Take `n` tokens from the bucket of `key_hash` (see [`KeyHasher`]) at `now_ns`, as [`gcra::take`].
    pub fn take(&self, key_hash: u64, now_ns: u64, n: u64, rate: &Rate) -> Decision {
        let key = key_hash.max(1);
        // Each failed swap means that another process claimed an entry of this window, so a window's worth of attempts
        // bounds the work without giving up under any load that can really happen.
        for _ in 0..WINDOW {
            match self.find(key, now_ns) {
                None => return Decision::Allowed { remaining: rate.burst() },
                Some(Found::Bucket(cell)) => return gcra::take(cell, now_ns, n, rate),
                Some(Found::Free { fingerprint, owner, tat }) => {
                    if claim(fingerprint, owner, key) {
                        return gcra::take(tat, now_ns, n, rate);
                    }
                }
                Some(Found::Busy { fingerprint, owner, tat }) => {
                    if claim(fingerprint, owner, key) {
                        self.evicted.fetch_add(1, Relaxed);
                        tat.store(now_ns, Relaxed);
                        return gcra::take(tat, now_ns, n, rate);
                    }
                }
            }
        }
        // Lost every race: fail towards serving, as a table under this much churn limits nobody fairly anyway.
        Decision::Allowed { remaining: 0 }
    }

    fn find(&self, key: u64, now_ns: u64) -> Option<Found<'m>> {
        let home = (key as usize) & self.mask;
        let mut free = None;
        let mut busy: Option<(u64, Found<'m>)> = None;
        for step in 0..WINDOW.min(self.entries()) {
            let at = ((home + step) & self.mask) * ENTRY_WORDS;
            let [fingerprint, tat] = self.words.get(at..at + ENTRY_WORDS)? else { return None };
            let owner = fingerprint.load(Relaxed);
            if owner == key {
                return Some(Found::Bucket(tat));
            }
            let full_at = tat.load(Relaxed);
            if owner == 0 || full_at <= now_ns {
                free = free.or(Some(Found::Free { fingerprint, owner, tat }));
                if owner == 0 {
                    // Entries never become unused again, so no key of this window lives behind an unused one.
                    break;
                }
            } else if busy.as_ref().is_none_or(|(soonest, _)| full_at < *soonest) {
                busy = Some((full_at, Found::Busy { fingerprint, owner, tat }));
            }
        }
        free.or(busy.map(|(_, found)| found))
    }
}

fn claim(fingerprint: &AtomicU64, owner: u64, key: u64) -> bool {
    fingerprint.compare_exchange(owner, key, Relaxed, Relaxed).is_ok()
}
