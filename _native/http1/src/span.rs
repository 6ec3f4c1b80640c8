//! Positions in the buffer a head was parsed from.

/// A half-open byte range of the parsed buffer.
///
/// It holds no borrow, so a head can live next to the buffer it describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Index of the first byte.
    pub start: u32,
    /// Index behind the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`; the codec caps its input at 4 GiB, so indices fit.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes of `buf` in this range; empty if `buf` is not the buffer that was parsed and too short.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Length in bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether the range has no bytes.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn reads_only_what_exists() {
        assert_eq!(Span::new(1, 3).of(b"abcd"), b"bc");
        assert_eq!(Span::new(3, 9).of(b"abcd"), b"", "a foreign buffer never panics");
        assert_eq!(Span::new(1, 3).len(), 2);
        assert!(Span::new(3, 3).is_empty());
    }
}
