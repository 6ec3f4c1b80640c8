//! A request whose body is still arriving while the answer may already come.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::answer::Answer;
use crate::body::{Http1Body, Incoming, Outgoing, bridge};
use crate::client::Client;
use crate::deadline::Meter;
use crate::error::ProxyError;
use crate::exchange::{Answered, Failed, Plan};
use crate::prepare::{Prepared, Special};
use crate::relay::{RelayError, relay};
use crate::request::Request;
use crate::transform::transform;
use crate::upstream::{Upstream, Wire};

/// A body on its way; the result is what was read beyond its end.
type Upload<'u> = Pin<Box<dyn Future<Output = Result<Vec<u8>, RelayError>> + 'u>>;

fn failure(error: RelayError, reused: bool) -> ProxyError {
    match error {
        RelayError::Read(_) => ProxyError::ClientGone,
        RelayError::Framing(reason) => ProxyError::BodyProtocol(reason),
        RelayError::Write(error) => ProxyError::UpstreamClosed { error, reused },
    }
}

impl Request<'_> {
    /// Sends the rest of the body and takes the answer, whichever comes first.
    pub(crate) async fn attempt_with_upload(
        &self,
        plan: &Plan<'_>,
        prepared: &mut Prepared,
        (timeout_ns, idle_ns): (u64, u64),
        wire: Wire,
        upstream: Upstream,
    ) -> Result<Answered, Failed> {
        let connection = self.connection;
        let deadlines = &connection.deadlines;
        let pool = &connection.shared.buffers;
        let reused = upstream.reused;
        let body_idle_ns = self.compiled.options.body_idle_timeout_ns;
        let (held, decoder) = match prepared.special.as_mut() {
            Some(Special::Held(whole)) => (Some(&**whole), None),
            Some(Special::Text(decoder)) => (None, Some(&mut **decoder)),
            None => (None, None),
        };
        let is_held = held.is_some();
        if !is_held {
            deadlines.start_request(if idle_ns == 0 { body_idle_ns } else { idle_ns.min(body_idle_ns) }, true);
        }
        let meter = Meter::new(deadlines);
        let mut answer = Answer::new(self, plan, idle_ns);
        let mut surplus = None;
        let sink = prepared.sink;
        let source = &mut prepared.source;
        let passes = |name: &[u8]| self.trailer_passes(plan.choice, name);
        let result = {
            let mut uploading: Option<Upload<'_>> = Some(match (&connection.client, &wire, held, decoder) {
                (Client::Http1(client), Wire::Http1(link), None, None) => {
                    Box::pin(relay(pool, client, &link.stream, source, (sink, &passes), &meter))
                }
                (client, wire, held, decoder) => {
                    let to = match wire {
                        Wire::Http1(link) => Outgoing::Http1(&link.stream, sink),
                        Wire::Http2(lease) => Outgoing::Http2(&lease.sender),
                    };
                    let from = match (held, client) {
                        (Some(whole), _) => Incoming::Held(whole.body()),
                        (None, Client::Http1(client)) => Incoming::Http1(Http1Body::new(pool, client, source)),
                        (None, client) => client.framed_body().ok_or(ProxyError::ClientGone)?,
                    };
                    match decoder {
                        Some(decoder) => Box::pin(transform(from, to, decoder, &passes, &meter)),
                        None => Box::pin(bridge(from, to, &passes, &meter)),
                    }
                }
            });
            let mut answering = pin!(answer.run(&wire, reused));
            let both = poll_fn(|context| {
                if let Some(upload) = &mut uploading
                    && let Poll::Ready(done) = upload.as_mut().poll(context)
                {
                    uploading = None;
                    match done {
                        Ok(rest) => {
                            surplus = Some(rest);
                            if !is_held {
                                deadlines.uploaded(timeout_ns, idle_ns);
                            }
                        }
                        // The upstream takes no more of the body; what it says about that is still worth reading.
                        Err(RelayError::Write(_)) => {}
                        Err(error) => return Poll::Ready(Err(failure(error, reused))),
                    }
                }
                answering.as_mut().poll(context)
            });
            deadlines.limit(&connection.client, both).await
        };
        let result = result.map_err(|error| match error {
            // Part of the body is gone: what is left of it must not be sent as if it were all.
            ProxyError::UpstreamRefused if !is_held => ProxyError::UpstreamReset(h2::Reason::REFUSED_STREAM),
            error => error,
        });
        let used = prepared.taken;
        if let Some(whole) = prepared.held() {
            // The client has sent all of it, whatever the upstream took.
            answer.reusable &= surplus.is_some();
            return self.settle(&answer, result, wire, &upstream, used, whole.surplus.clone());
        }
        self.record.received.set(self.record.received.get() + meter.bytes());
        match surplus {
            Some(surplus) => self.settle(&answer, result, wire, &upstream, used, surplus),
            None => {
                // The answer was complete before the request: neither connection can be used for another one.
                answer.upload_complete = false;
                self.settle(&answer, result, wire, &upstream, used, Vec::new())
            }
        }
    }
}
