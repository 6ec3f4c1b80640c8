//! Clients that open streams only to cancel them (CVE-2023-44487, row D46).

/// A stream that was cancelled sooner than this after its start was premature, in nanoseconds (Envoy:
/// `overload.premature_reset_min_stream_lifetime_seconds`).
const PREMATURE_NS: u64 = 1_000_000_000;
/// Premature resets that are forgiven. A browser cancels the images of a page in one go.
const FORGIVEN: u32 = 200;

/// Judges one connection by what became of its streams.
#[derive(Debug, Default)]
pub(crate) struct ResetJudge {
    streams: u32,
    premature: u32,
}

impl ResetJudge {
    /// A stream ended `lived_ns` after its start.
    pub(crate) fn ended(&mut self, reset_by_client: bool, lived_ns: u64) {
        self.streams = self.streams.saturating_add(1);
        if reset_by_client && lived_ns < PREMATURE_NS {
            self.premature = self.premature.saturating_add(1);
        }
    }

    /// More than the forgiven number, and more than half of all streams, were premature.
    pub(crate) fn is_flood(&self) -> bool {
        self.premature > FORGIVEN && self.premature > self.streams / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_early_resets_of_the_client_count() {
        let mut judge = ResetJudge::default();
        for _ in 0..FORGIVEN {
            judge.ended(true, 0);
            judge.ended(true, PREMATURE_NS);
            judge.ended(false, 0);
        }
        assert!(!judge.is_flood());
        judge.ended(true, 1);
        assert!(!judge.is_flood(), "two thirds of the streams were honest");
        for _ in 0..2 * FORGIVEN {
            judge.ended(true, 1);
        }
        assert!(judge.is_flood());
    }
}
