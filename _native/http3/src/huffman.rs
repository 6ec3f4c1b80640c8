//! The Huffman code of header fields (RFC 7541 section 5.2 and appendix B, RFC 9204 section 4.1.2).

/// Bits of the code of each byte. The code is canonical: codes of one length ascend with their bytes, and each length goes
/// on where the shorter one ended. So the lengths say everything.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];

/// Longest code in bits.
const LONGEST: usize = 30;

/// The code, turned around.
struct Table {
    /// First code of each length, and how many there are.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    /// Position in `symbols` of the first code of each length.
    start: [u32; LONGEST + 1],
    /// Bytes in the order of their codes.
    symbols: [u8; 256],
}

const TABLE: Table = {
    let mut table =
        Table { first: [0; LONGEST + 1], count: [0; LONGEST + 1], start: [0; LONGEST + 1], symbols: [0; 256] };
    let mut code = 0;
    let mut placed = 0;
    let mut length = 1;
    while length <= LONGEST {
        code <<= 1;
        table.first[length] = code;
        table.start[length] = placed;
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                table.symbols[placed as usize] = byte as u8;
                placed += 1;
                code += 1;
                table.count[length] += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    table
};

/// Appends the bytes that `input` stands for. False for what is no code: the end-of-string symbol, padding of more than
/// seven bits or of other bits than ones (RFC 7541 section 5.2).
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut window: u64 = 0;
    let mut held = 0;
    let mut rest = input.iter();
    loop {
        while held <= 56
            && let Some(&byte) = rest.next()
        {
            window = window << 8 | u64::from(byte);
            held += 8;
        }
        let Some((symbol, length)) = next(window, held) else {
            // What is left are the first bits of the end-of-string symbol, which is all ones.
            return held < 8 && window & ((1 << held) - 1) == (1 << held) - 1;
        };
        out.push(symbol);
        held -= length;
    }
}

/// The first code of the last `held` bits of `window`, and its length.
fn next(window: u64, held: usize) -> Option<(u8, usize)> {
    for length in 5..=LONGEST.min(held) {
        let code = (window >> (held - length)) as u32 & ((1 << length) - 1);
        let offset = code.wrapping_sub(TABLE.first[length]);
        if offset < TABLE.count[length] {
            return Some((TABLE.symbols[(TABLE.start[length] + offset) as usize], length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(input, &mut out).then_some(out)
    }

    /// The code of `text`, padded with ones.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let length = LENGTHS[usize::from(*byte)] as usize;
            let position =
                TABLE.symbols.iter().position(|symbol| symbol == byte).expect("every byte has a code") as u32;
            let _ = write!(bits, "{:0length$b}", TABLE.first[length] + position - TABLE.start[length]);
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | (bit - b'0'))).collect()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7541 appendix C.4.
        let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&host).as_deref(), Some(&b"www.example.com"[..]));
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).as_deref(), Some(&b"no-cache"[..]));
        assert_eq!(decoded(&[]).as_deref(), Some(&b""[..]));
        assert_eq!(encoded(b"www.example.com"), host);
    }

    #[test]
    fn every_byte_has_a_code() {
        for byte in 0..=255_u8 {
            for text in [vec![byte], vec![byte; 9], vec![b'a', byte, b'0']] {
                assert_eq!(decoded(&encoded(&text)), Some(text));
            }
        }
    }

    #[test]
    fn what_is_no_code() {
        assert_eq!(decoded(&[0xff]), None, "eight bits of padding");
        assert_eq!(decoded(&[0x1f, 0xff]), None, "eleven bits of padding behind an a");
        assert_eq!(decoded(&[0x18]), None, "padding with zeros");
        assert_eq!(decoded(&[0xff; 4]), None, "the end of a string");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decoded(&[0x1f]).as_deref(), Some(&b"a"[..]));
    }
}
