//! What may stop a request after its route is known: rate limits and filters of the host language.

use std::borrow::Cow;

use sluice_policy::stats::Global;
use sluice_policy::{Decision, KeyHasher};
use sluice_snapshot::{LimitSource, Route};

use crate::downstream::After;
use crate::reply::Reply;
use crate::request::Request;
use crate::upcall::{Upcall, UpcallAnswer};

impl Request<'_> {
    /// Nanoseconds to wait when a rate limit of the route refuses the request.
    pub(crate) fn limited(&self, route: &Route) -> Option<u64> {
        let shared = &self.connection.shared;
        let mut refused = None;
        for limit in &route.limits {
            let mut key = KeyHasher::new(&limit.name, &limit.rate);
            let mut applies = true;
            for part in &limit.keys {
                let value: Cow<'_, [u8]> = match part.source {
                    LimitSource::Generic => Cow::Borrowed(&part.value),
                    LimitSource::RemoteAddress => Cow::Owned(self.client.client.to_string().into_bytes()),
                    LimitSource::Header => match self.head.header(self.bytes, &part.value) {
                        Some(value) => Cow::Borrowed(value),
                        None => {
                            applies = false;
                            break;
                        }
                    },
                };
                if part.expected.as_ref().is_some_and(|expected| **expected != *value) {
                    applies = false;
                    break;
                }
                key = key.part(&value);
            }
            if !applies {
                continue;
            }
            let table = shared.limits();
            let decision = table.take(key.finish(), shared.host.now_ns(), 1, &limit.rate);
            if table.evicted() > 0 {
                shared.count(Global::LimitEvictions, table.evicted());
            }
            if let Decision::Denied { retry_after_ns } = decision {
                if limit.dry_run {
                    shared.count(Global::RateLimitedDryRun, 1);
                } else {
                    refused = refused.max(Some(retry_after_ns));
                }
            }
        }
        refused
    }

    /// Asks a filter of the host language. `Some` if the filter answered.
    pub(crate) async fn filter(&self, filter: &str, route: &Route) -> Option<After> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shared = &self.connection.shared;
        shared.count(Global::Upcalls, 1);
        let upcall = Upcall {
            id: 0,
            filter: filter.to_owned(),
            method: text(self.head.method_span.of(self.bytes)),
            host: text(self.head.host(self.bytes)),
            path: text(self.head.path(self.bytes)),
            query: self.head.query(self.bytes).map(text),
            headers: self
                .head
                .headers
                .iter()
                .map(|entry| (text(entry.name.of(self.bytes)), text(entry.value.of(self.bytes))))
                .collect(),
            client: self.client.client,
            route: route.name.to_string(),
        };
        self.connection.deadlines.uploaded(shared.upcalls.timeout_ns(), 0);
        let work = async { Ok(shared.upcalls.call(upcall).await) };
        match self.connection.deadlines.limit(&self.connection.client, work).await {
            Ok(UpcallAnswer::Continue { add, remove }) => {
                let mut edits = self.filtered.borrow_mut();
                edits.set.extend(add);
                edits.remove.extend(remove);
                None
            }
            Ok(UpcallAnswer::Respond { status, headers, body }) => {
                let mut reply = Reply::new(status).body(b"", &body);
                for (name, value) in &headers {
                    reply = reply.header(name.as_bytes(), value.as_bytes());
                }
                Some(self.reply(reply, "UAEX").await)
            }
            Err(error) => {
                let (status, flag) = error.answer();
                Some(self.reply(Reply::new(status).body(b"text/plain", error.public_message().as_bytes()), flag).await)
            }
        }
    }
}
