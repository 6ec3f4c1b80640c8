//! A piece of a head that is usually a span and sometimes a rewritten copy.

use crate::span::Span;

/// Either a range of the parsed buffer or bytes of its own; the own buffer is reused between requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    span: Span,
    owned: Vec<u8>,
    rewritten: bool,
}

impl Text {
    /// Forgets the value and keeps the capacity.
    pub(crate) fn clear(&mut self) {
        self.span = Span::default();
        self.owned.clear();
        self.rewritten = false;
    }

    /// Points at bytes of the parsed buffer.
    pub(crate) fn borrow(&mut self, span: Span) {
        self.span = span;
        self.rewritten = false;
    }

    /// Switches to the own buffer, emptied, and lends it for writing.
    pub(crate) fn rewrite(&mut self) -> &mut Vec<u8> {
        self.owned.clear();
        self.rewritten = true;
        &mut self.owned
    }

    /// The value.
    #[inline]
    pub(crate) fn of<'a>(&'a self, buf: &'a [u8]) -> &'a [u8] {
        if self.rewritten { &self.owned } else { self.span.of(buf) }
    }
}
