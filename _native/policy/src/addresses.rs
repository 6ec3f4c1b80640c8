//! How many connections a client address has, counted across workers without a lock.
//!
//! Each worker adds to counters of its own that an address finds by two hashes; the count of an address is the smaller of
//! the two sums over all workers. Addresses that share a counter can only make a count too high, which two hashes make
//! rare: with 10,000 connected addresses, one in fifteen reads too high, by the connections of a stranger or two. The hashes
//! have a secret seed: nobody can choose addresses that share the counters of a victim.
//! Nothing is written, nor read, before an address is first counted: even a read allocates the page of a memory file.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use twox_hash::XxHash64;

use crate::region::{add, sub};

const HASHES: usize = 2;
const COUNTERS: usize = 1 << 15;
/// The first word of a region says that something was counted in it.
const WORDS: usize = 8 + HASHES * COUNTERS;

/// Words that `workers` workers need.
pub(crate) const fn words(workers: usize) -> usize {
    workers * WORDS
}

/// What counts as one client: an IPv4 address, or the network of an IPv6 address (RFC 6177: a site has a /64 at least).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressKey([usize; HASHES]);

impl AddressKey {
    /// The counters of an address. All workers must have the same `seed`, and clients must not know it: an IPv6 /48 has
    /// networks enough to fill the counters of any other address.
    #[must_use]
    pub fn of(seed: u64, address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => 1 << 127 | u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits() >> 64,
        };
        let hash = XxHash64::oneshot(seed, &network.to_le_bytes());
        let index = |shift: u32| usize::try_from(hash >> shift).unwrap_or(0) % COUNTERS;
        Self([index(0) + 8, index(32) + 8 + COUNTERS])
    }
}

/// The counters of all workers.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'m> {
    memory: &'m [AtomicU64],
    seed: u64,
}

impl<'m> Addresses<'m> {
    /// `memory` is [`words`] long.
    pub(crate) fn over(memory: &'m [AtomicU64], seed: u64) -> Self {
        Self { memory, seed }
    }

    /// The counters of an address.
    #[must_use]
    pub fn key(self, address: IpAddr) -> AddressKey {
        AddressKey::of(self.seed, address)
    }

    fn region(self, worker: usize) -> &'m [AtomicU64] {
        self.memory.get(Range { start: worker * WORDS, end: (worker + 1) * WORDS }).unwrap_or_default()
    }

    /// Connections of an address in all workers.
    #[must_use]
    pub fn count(self, key: AddressKey) -> u64 {
        let used = self.memory.chunks_exact(WORDS).filter(|region| region[0].load(Relaxed) != 0);
        let sums = used.fold([0_u64; HASHES], |mut sums, region| {
            for (sum, &at) in sums.iter_mut().zip(&key.0) {
                *sum += region[at].load(Relaxed);
            }
            sums
        });
        sums.into_iter().min().unwrap_or(0)
    }

    /// One more connection of a worker.
    pub fn enter(self, worker: usize, key: AddressKey) {
        let region = self.region(worker);
        for at in key.0.into_iter().chain([0]) {
            if let Some(word) = region.get(at) {
                add(word, 1);
            }
        }
    }

    /// One less.
    pub fn leave(self, worker: usize, key: AddressKey) {
        let region = self.region(worker);
        for at in key.0 {
            if let Some(word) = region.get(at) {
                sub(word, 1);
            }
        }
    }

    /// Forget the connections of a worker whose process is gone.
    pub(crate) fn release_worker(self, worker: usize) {
        let region = self.region(worker);
        if region.first().is_some_and(|used| used.load(Relaxed) != 0) {
            region.iter().filter(|word| word.load(Relaxed) != 0).for_each(|word| word.store(0, Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(workers: usize) -> Vec<AtomicU64> {
        (0..words(workers)).map(|_| AtomicU64::new(0)).collect()
    }

    fn key(text: &str) -> AddressKey {
        AddressKey::of(7, text.parse().expect("an address"))
    }

    #[test]
    fn connections_of_all_workers_count() {
        let memory = memory(3);
        let addresses = Addresses::over(&memory, 7);
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        for worker in [0, 1, 1] {
            addresses.enter(worker, one);
        }
        addresses.enter(2, other);
        assert_eq!((addresses.count(one), addresses.count(other)), (3, 1));
        addresses.leave(1, one);
        addresses.leave(2, other);
        assert_eq!((addresses.count(one), addresses.count(other)), (2, 0));
        addresses.leave(2, other);
        assert_eq!(addresses.count(other), 0, "it does not wrap");
    }

    #[test]
    fn a_worker_that_is_gone_holds_nothing() {
        let memory = memory(2);
        let addresses = Addresses::over(&memory, 7);
        let one = key("192.0.2.1");
        addresses.enter(0, one);
        addresses.enter(1, one);
        addresses.release_worker(0);
        assert_eq!(addresses.count(one), 1);
        addresses.leave(0, one);
        addresses.enter(7, one);
        assert_eq!(addresses.count(one), 1, "and there is no such worker");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("::c000:201"), key("192.0.2.1"));
    }

    #[test]
    fn who_shares_counters_depends_on_the_seed() {
        // What a client with 2001:db8:1::/48 finds against a victim while it knows the seed.
        let victim: IpAddr = "192.0.2.1".parse().expect("an address");
        let networks = (0..=u16::MAX).map(|n| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]));
        let hits = |seed: u64, address: IpAddr| {
            let (own, other) = (AddressKey::of(seed, victim), AddressKey::of(seed, address));
            (own.0[0] == other.0[0], own.0[1] == other.0[1])
        };
        let chosen: Vec<_> = networks.filter(|address| matches!(hits(0, *address), (true, _) | (_, true))).collect();
        let (first, second) = chosen
            .iter()
            .map(|address| hits(0, *address))
            .fold((0, 0), |(first, second), hit| (first + u32::from(hit.0), second + u32::from(hit.1)));
        assert!(first > 0 && second > 0, "both counters of the victim can be filled");
        let still = chosen.iter().filter(|address| matches!(hits(0x5eed, **address), (true, _) | (_, true))).count();
        assert_eq!(still, 0, "with another seed none of them matters");
    }

    #[test]
    fn strangers_hardly_ever_count() {
        let memory = memory(1);
        let addresses = Addresses::over(&memory, 7);
        let all: Vec<_> = (0..2000_u32).map(|n| AddressKey::of(7, IpAddr::from(n.to_be_bytes()))).collect();
        for key in &all {
            addresses.enter(0, *key);
        }
        let wrong = all.iter().filter(|key| addresses.count(**key) != 1).count();
        assert!(wrong < 40, "{wrong} of 2000 share both counters with another one");
    }
}
