//! Request identifiers: random UUIDs (RFC 9562 section 5.4) from given entropy.

/// Length of a UUID in text.
pub const LEN: usize = 36;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The version 4 UUID of 122 of the 128 given bits, in lower-case text.
#[must_use]
pub fn uuid_v4(high: u64, low: u64) -> [u8; LEN] {
    let high = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let bits = (u128::from(high) << 64) | u128::from(low);
    let mut text = [b'-'; LEN];
    let mut shift = 128;
    for (at, byte) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            shift -= 4;
            *byte = HEX[(bits >> shift) as usize & 15];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_of_version_4() {
        assert_eq!(&uuid_v4(0, 0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid_v4(u64::MAX, u64::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(&uuid_v4(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef), b"01234567-89ab-4def-8123-456789abcdef");
    }
}
