//! Integers and strings with a prefix (RFC 9204 sections 4.1.1 and 4.1.2).

use crate::huffman;

/// Takes an integer with a prefix of `bits` bits off the front. `None` when it is cut or above 2^62.
pub(crate) fn take_integer(bits: u32, input: &mut &[u8]) -> Option<u64> {
    let (first, mut rest) = input.split_first()?;
    let mask = (1_u64 << bits) - 1;
    let mut value = u64::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            // 2^56 times 127 and everything below it: no sum of eight such terms overflows.
            if shift > 56 {
                return None;
            }
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    (value <= crate::varint::MAX).then_some(value)
}

/// Appends an integer with a prefix of `bits` bits; `flags` are the bits above it.
pub(crate) fn write_integer(bits: u32, flags: u8, value: u64, out: &mut Vec<u8>) {
    let mask = (1_u64 << bits) - 1;
    if value < mask {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a string off the front, whose length has a prefix of `bits` bits below the flag of the Huffman code. The string
/// is a part of the input or, where it had to be decoded, of `space`, which is emptied first.
pub(crate) fn take_string<'o, 's: 'o>(bits: u32, input: &mut &'s [u8], space: &'o mut Vec<u8>) -> Option<&'o [u8]> {
    let coded = input.first()? & (1 << bits) != 0;
    let length = usize::try_from(take_integer(bits, input)?).ok()?;
    let (text, rest) = input.split_at_checked(length)?;
    *input = rest;
    if !coded {
        return Some(text);
    }
    space.clear();
    huffman::decode(text, space).then_some(space.as_slice())
}

/// Appends a string as it is, whose length has a prefix of `bits` bits.
pub(crate) fn write_string(bits: u32, flags: u8, text: &[u8], out: &mut Vec<u8>) {
    write_integer(bits, flags, text.len() as u64, out);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7541 appendix C.1.
        for (bits, value, bytes) in [(5, 10, &[0b0_1010][..]), (5, 1337, &[0b1_1111, 154, 10]), (8, 42, &[42])] {
            let mut out = Vec::new();
            write_integer(bits, 0, value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(take_integer(bits, &mut &out[..]), Some(value));
        }
    }

    #[test]
    fn integers_that_are_cut_or_too_large() {
        assert_eq!(take_integer(5, &mut &[0x1f, 0x9a][..]), None);
        assert_eq!(take_integer(5, &mut &[][..]), None);
        assert_eq!(take_integer(8, &mut &[0xff; 12][..]), None);
        let mut largest = vec![0xff; 9];
        largest.push(0x7f);
        assert_eq!(take_integer(8, &mut &largest[..]), None);
        // Zeros in front of nothing are a long form of a small number.
        assert_eq!(take_integer(3, &mut &[0x07, 0x80, 0x80, 0x00][..]), Some(7));
    }

    #[test]
    fn strings() {
        let mut out = Vec::new();
        write_string(3, 0x20, b"longer than seven", &mut out);
        let mut input = &out[..];
        let mut space = Vec::new();
        assert_eq!(take_string(3, &mut input, &mut space), Some(&b"longer than seven"[..]));
        assert_eq!(
            take_string(7, &mut &[0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf][..], &mut Vec::new()),
            Some(&b"no-cache"[..])
        );
        assert_eq!(take_string(7, &mut &[5, b'a'][..], &mut Vec::new()), None);
        assert_eq!(take_string(7, &mut &[0x81, 0xff][..], &mut Vec::new()), None);
    }
}
