//! Buckets of the latency histograms: fixed, so that rows of different workers and versions can be added.

/// Upper bounds of the buckets in microseconds, inclusive; one more bucket takes everything above the last.
pub const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Number of buckets, the unbounded one included.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The bucket of a duration in microseconds.
#[must_use]
pub fn bucket(us: u64) -> usize {
    BOUNDS_US.partition_point(|&bound| bound < us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_ascending() {
        assert!(BOUNDS_US.is_sorted());
        assert_eq!(bucket(0), 0);
        for (index, &bound) in BOUNDS_US.iter().enumerate() {
            assert_eq!(bucket(bound), index);
            assert_eq!(bucket(bound + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
