//! The words of circuit breakers: what they hold and where they are.
//!
//! | where | words | what |
//! |---|---|---|
//! | totals | 8 per cluster | what all workers hold, and who changed it last |
//! | one region per worker | 3 | announcement, operation number, rows used |
//! | | one per worker | acknowledgements that this worker wrote for others |
//! | | 8 per cluster | what this worker holds |
//! | master | one per worker | acknowledgements that the master wrote |

/// Words of a cluster: one for each resource in each priority.
pub(crate) const CELLS: usize = 8;
/// Words at the beginning of a region.
pub(crate) const HEAD: usize = 3;
pub(crate) const ANNOUNCED: usize = 0;
pub(crate) const NUMBER: usize = 1;
pub(crate) const ROWS_USED: usize = 2;

/// Highest count, and so the highest limit.
pub(crate) const MAX_COUNT: u64 = (1 << 24) - 1;
/// Most workers: their number plus one must fit.
pub(crate) const MAX_WORKERS: usize = (1 << 12) - 2;
const NUMBER_BITS: u32 = 28;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
const WRITER_MASK: u64 = (1 << 12) - 1;
const COUNT_SHIFT: u32 = 40;

/// A total or a share: a count, who wrote it last (0 is nobody or the master, otherwise the worker plus one), and the
/// number of the operation that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) count: u64,
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

impl Held {
    pub(crate) fn read(word: u64) -> Self {
        Self { count: word >> COUNT_SHIFT, writer: (word >> NUMBER_BITS) & WRITER_MASK, number: word & NUMBER_MASK }
    }

    pub(crate) fn word(self) -> u64 {
        (self.count << COUNT_SHIFT) | (self.writer << NUMBER_BITS) | self.number
    }
}

/// An operation that a worker is about to do. Its word is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) take: bool,
    /// Index among the words of all clusters.
    pub(crate) cell: usize,
    pub(crate) number: u64,
}

impl Operation {
    pub(crate) fn read(word: u64) -> Option<Self> {
        let (take, cell) = (word >> 63 == 1, (word << 2) >> (NUMBER_BITS + 2));
        (word != 0).then_some(Self { take, cell: cell as usize, number: word & NUMBER_MASK })
    }

    pub(crate) fn word(self) -> u64 {
        (u64::from(self.take) << 63) | (1 << 62) | ((self.cell as u64) << NUMBER_BITS) | self.number
    }
}

/// The number after this one.
pub(crate) fn next_number(number: u64) -> u64 {
    (number + 1) & NUMBER_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_what_was_put_in() {
        for held in [
            Held { count: 0, writer: 0, number: 0 },
            Held { count: MAX_COUNT, writer: WRITER_MASK, number: NUMBER_MASK },
            Held { count: 7, writer: 3, number: 12_345 },
        ] {
            assert_eq!(Held::read(held.word()), held);
        }
        for operation in [
            Operation { take: true, cell: 0, number: 0 },
            Operation { take: false, cell: (1 << 34) - 1, number: NUMBER_MASK },
            Operation { take: true, cell: 4096 * CELLS, number: 1 },
        ] {
            assert_eq!(Operation::read(operation.word()), Some(operation));
        }
        assert_eq!(Operation::read(0), None);
        assert_eq!(next_number(NUMBER_MASK), 0);
    }
}
