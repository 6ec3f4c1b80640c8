//! The literal bytes every match of a regular expression starts with.

use regex_syntax::hir::{Hir, HirKind, Look};

/// Longest literal prefix that is easy to prove; empty when there is none.
pub(crate) fn prefix(hir: &Hir) -> Vec<u8> {
    let mut out = Vec::new();
    extend(hir, &mut out);
    out
}

/// Appends what `hir` surely starts with; true when `hir` is nothing but that, so that the next part may follow.
fn extend(hir: &Hir, out: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Capture(capture) => extend(&capture.sub, out),
        HirKind::Concat(parts) => parts.iter().all(|part| extend(part, out)),
        // An anchor consumes nothing. A false one only makes the regex match less than its bucket.
        HirKind::Empty | HirKind::Look(Look::Start | Look::End) => true,
        HirKind::Repetition(repetition) if repetition.min >= 1 => {
            // One round is certain; what follows it is not.
            extend(&repetition.sub, out);
            false
        }
        _ => false,
    }
}
