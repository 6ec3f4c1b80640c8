//! What becomes of an answer's body, and how an answer whose body changes is delivered.

use sluice_http1::{ResponseFraming, ResponseHead};
use sluice_snapshot::Compression;

use super::compress::{self, Encoder};
use super::{HeadChange, Transform, transform};
use crate::answer::Answer;
use crate::body::Incoming;
use crate::deadline::Meter;
use crate::deliver::{Heading, failure};
use crate::error::ProxyError;

/// What becomes of an answer.
pub(crate) enum Recoding {
    /// Its body stays.
    Head(HeadChange),
    /// Its body changes while it moves.
    Stream(HeadChange, Box<dyn Transform>),
}

fn compression(options: &Compression, answer: &Answer<'_, '_>, head: &ResponseHead, bytes: &[u8]) -> Option<Recoding> {
    let request = answer.request;
    let decision = compress::decide(options, (request.head, request.bytes), (head, bytes))?;
    let encoder = decision.coding.and_then(|coding| Encoder::new(coding, options));
    Some(match encoder {
        Some(encoder) => Recoding::Stream(decision.change, Box::new(encoder)),
        None => Recoding::Head(decision.change),
    })
}

impl Answer<'_, '_> {
    /// What becomes of the answer; `None` if it stays as it is.
    pub(crate) fn recoding(&self, head: &ResponseHead, bytes: &[u8]) -> Option<Recoding> {
        let options = self.request.compiled.options.compression.as_ref()?;
        compression(options, self, head, bytes)
    }

    /// Delivers an answer whose body changes. Returns whether an HTTP/1 upstream sent more than was read of it.
    pub(crate) async fn deliver_recoded(
        &mut self,
        heading: Heading<'_>,
        from: Incoming<'_>,
        recoding: Box<Recoding>,
    ) -> Result<bool, ProxyError> {
        match *recoding {
            // A body that stays takes the shorter ways of `deliver`.
            Recoding::Head(_) => Ok(true),
            Recoding::Stream(change, mut by) => {
                let heading = Heading { framing: ResponseFraming::Chunked, change: Some(&change), ..heading };
                self.deliver_stream(heading, from, &mut *by).await
            }
        }
    }

    async fn deliver_stream(
        &mut self,
        heading: Heading<'_>,
        from: Incoming<'_>,
        by: &mut dyn Transform,
    ) -> Result<bool, ProxyError> {
        let connection = self.request.connection;
        let shared = &connection.shared;
        let mut out = shared.scratch.out();
        let sink = self.head(&heading, &mut out);
        self.started = true;
        let begun = connection.client.begin(&out, false).await;
        shared.scratch.put_out(out);
        begun?;
        let edits = &self.plan.choice.response_headers;
        let passes = |name: &[u8]| !edits.removes(name);
        let meter = Meter::new(&connection.deadlines);
        let moved = transform(from, connection.client.outgoing(sink), by, &passes, &meter).await;
        self.sent += meter.bytes();
        moved.map(|tail| !tail.is_empty()).map_err(failure)
    }
}
