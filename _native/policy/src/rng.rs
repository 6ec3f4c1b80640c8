//! A small generator per worker for weights, mirrors, jitter and request ids: xoshiro256++ (Blackman, Vigna 2019).
//!
//! Not for secrets: its state can be recovered from its output.

/// The state of one generator.
#[derive(Debug, Clone)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A generator whose sequence is a function of `seed`, which is spread over the state by `SplitMix64`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut at = seed;
        Self(std::array::from_fn(|_| {
            at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (at ^ (at >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, 0 for a bound of 0. The bias is below `bound / 2^64` (Lemire's multiplication).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number in `[0, 100)`, for weights.
    pub fn percent(&mut self) -> f64 {
        self.unit() * 100.0
    }

    /// True in `percent` of 100 cases; never for 0 or less, always for 100 or more.
    pub fn chance(&mut self, percent: f64) -> bool {
        self.percent() < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation in C, transcribed.
    fn reference(s: &mut [u64; 4]) -> u64 {
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    #[test]
    fn follows_the_reference() {
        let mut rng = Rng::new(42);
        let mut state = rng.0;
        for _ in 0..1000 {
            assert_eq!(rng.next_u64(), reference(&mut state));
        }
        assert_eq!(Rng::new(0).0[0], 0xe220_a839_7b1d_cdaf, "first output of SplitMix64 for seed 0");
    }

    #[test]
    fn ranges() {
        let mut rng = Rng::new(7);
        assert_eq!(rng.below(0), 0);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[rng.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&rng.unit()));
            assert!(rng.chance(100.0));
            assert!(!rng.chance(0.0));
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
    }
}
