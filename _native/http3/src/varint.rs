//! Integers of variable length (RFC 9000 section 16).

/// The largest value.
pub const MAX: u64 = (1 << 62) - 1;

/// Reads an integer at the start of `bytes`: the value and its length. `None` when it is not complete.
pub fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    Some((value, length))
}

/// Appends an integer in its shortest form. A value above [`MAX`] is written as that.
pub fn write(value: u64, out: &mut Vec<u8>) {
    let bytes = value.min(MAX).to_be_bytes();
    let (mark, length) = match value {
        0..0x40 => (0x00, 1),
        0x40..0x4000 => (0x40, 2),
        0x4000..0x4000_0000 => (0x80, 4),
        _ => (0xc0, 8),
    };
    let start = out.len();
    out.extend_from_slice(&bytes[8 - length..]);
    out[start] |= mark;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 9000 appendix A.1.
        let examples: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in examples {
            assert_eq!(read(bytes), Some((value, bytes.len())));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, MAX] {
            let mut out = vec![9];
            write(value, &mut out);
            assert_eq!(read(&out[1..]), Some((value, out.len() - 1)));
        }
        let mut out = Vec::new();
        write(u64::MAX, &mut out);
        assert_eq!(read(&out), Some((MAX, 8)));
    }
}
