//! Forwarding one request: attempts, the two bodies, the answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sluice_http1::Framing;
use sluice_policy::stats::Field;
use sluice_snapshot::{Choice, Forward, Route};

use crate::answer::Answer;
use crate::deadline::Meter;
use crate::downstream::After;
use crate::error::{ProxyError, Retry, Side};
use crate::pool::Link;
use crate::prepare::Prepared;
use crate::relay::{RelayError, relay};
use crate::reply::Reply;
use crate::request::Request;
use crate::upstream::{Upstream, acquire};

/// Attempts per request: the first, and one more where that is safe.
const ATTEMPTS: usize = 2;
/// Envoy's default stream idle timeout, in nanoseconds.
const STREAM_IDLE_NS: u64 = 300_000_000_000;

/// An attempt that ended in an answer, complete or not.
struct Answered {
    after: After,
}

/// Why an attempt failed, and whether the client has seen anything of it.
struct Failed {
    error: ProxyError,
    started: bool,
}

impl From<ProxyError> for Failed {
    fn from(error: ProxyError) -> Self {
        Self { error, started: false }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn upload_failure(error: RelayError, reused: bool) -> ProxyError {
    match error {
        RelayError::Read(_) => ProxyError::ClientGone,
        RelayError::Framing(reason) => ProxyError::BodyProtocol(reason),
        RelayError::Write(error) => ProxyError::UpstreamClosed { error, reused },
    }
}

fn idle_ns(forward: &Forward) -> u64 {
    forward.idle_timeout.map_or(STREAM_IDLE_NS, nanos)
}

/// A body on its way; the result is what was read beyond its end.
type Upload<'u> = Pin<Box<dyn Future<Output = Result<Vec<u8>, RelayError>> + 'u>>;

impl Request<'_> {
    /// Forwards the request and answers, whatever happens.
    pub(crate) async fn forward(&self, route: &Route, choice: &Choice, forward: &Forward, cors: &[u8]) -> After {
        let path = self.head.path(self.bytes);
        let mut rewritten = Vec::new();
        if let Some(rewrite) = &forward.path_rewrite
            && rewrite.apply(path, route.path.matched(path), &mut rewritten).is_err()
        {
            let reply = Reply::new(400).body(b"text/plain", b"the path is not in normal form\n");
            return self.reply(reply, "DPE").await;
        }
        let target: &[u8] = if forward.path_rewrite.is_some() { &rewritten } else { path };
        let upgrade = self.allowed_upgrade(route);
        if !route.shadows.is_empty() {
            crate::shadow::mirror(self, route);
        }
        let Ok(mut prepared) = self.prepare(choice, forward, target, upgrade) else {
            return self
                .reply(Reply::new(400).body(b"text/plain", b"the request body is malformed\n").close(), "DPE")
                .await;
        };
        let replayable = prepared.complete && self.is_idempotent() && upgrade.is_none();
        let mut attempt = 1;
        let mut avoid = None;
        let after = loop {
            let result = self.attempt(choice, forward, cors, &mut prepared, upgrade, avoid, attempt > 1).await;
            match result {
                Ok(answered) => break answered.after,
                Err(Failed { error, started: true }) => {
                    self.record.flags.set(error.answer().1);
                    break After::Abort;
                }
                Err(Failed { error, started: false }) => {
                    let again = match error.retry() {
                        Retry::Unsent => true,
                        Retry::ReusedConnection => replayable,
                        Retry::No => false,
                    };
                    if again && attempt < ATTEMPTS {
                        attempt += 1;
                        avoid = self.record.upstream.get();
                        self.count_cluster(Field::Retries);
                        continue;
                    }
                    break self.fail(&error).await;
                }
            }
        };
        self.connection.shared.scratch.put_out(std::mem::take(&mut prepared.out));
        after
    }

    fn count_cluster(&self, field: Field) {
        let row = self.record.cluster_slot.get().and_then(|slot| self.connection.shared.cluster_row(slot));
        if let Some(row) = row {
            row.add(field, 1);
        }
    }

    /// Tells the client that there is no answer.
    async fn fail(&self, error: &ProxyError) -> After {
        let (status, flag) = error.answer();
        self.record.flags.set(flag);
        if matches!(error, ProxyError::Timeout | ProxyError::IdleTimeout | ProxyError::ConnectTimeout) {
            self.count_cluster(Field::Timeouts);
        }
        if matches!(error, ProxyError::ClientGone) {
            self.record.status.set(0);
            return After::Abort;
        }
        if error.side() == Side::Downstream || self.head.framing != Framing::None {
            // Part of the body may have been read: what follows on this connection can no longer be told apart.
            let reply = Reply::new(status).body(b"text/plain", error.public_message().as_bytes());
            return match self.reply_and(reply, flag, true).await {
                After::Keep { .. } => After::Close,
                after => after,
            };
        }
        self.reply(Reply::new(status).body(b"text/plain", error.public_message().as_bytes()), flag).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn attempt(
        &self,
        choice: &Choice,
        forward: &Forward,
        cors: &[u8],
        prepared: &mut Prepared,
        upgrade: Option<&[u8]>,
        avoid: Option<std::net::SocketAddr>,
        fresh: bool,
    ) -> Result<Answered, Failed> {
        let connection = self.connection;
        let shared = &connection.shared;
        let deadlines = &connection.deadlines;
        let idle_ns = idle_ns(forward);
        let timeout_ns = if upgrade.is_some() { 0 } else { forward.timeout.map_or(0, nanos) };
        let cluster = self.compiled.cluster(forward.cluster).ok_or(ProxyError::NoEndpoint)?;
        self.record.cluster.replace(Some(std::sync::Arc::clone(&cluster.name)));
        self.record.cluster_slot.set(Some(cluster.slot as usize));
        self.record.upstream_start_ns.set(shared.host.now_ns());
        self.record.upstream_status.set(0);
        if prepared.complete {
            deadlines.uploaded(timeout_ns, idle_ns);
        } else {
            deadlines.start_request(idle_ns, false);
        }
        let acquired = acquire(shared, cluster, avoid, fresh);
        let mut upstream = deadlines.limit(&connection.stream, acquired).await?;
        self.record.upstream.set(Some(upstream.address));
        let Some(link) = upstream.link.take() else { return Err(ProxyError::NoEndpoint.into()) };
        let stream = &link.stream;
        let reused = upstream.reused;
        let sent = async {
            stream.write_all(&prepared.out).await.map_err(|error| ProxyError::UpstreamClosed { error, reused })
        };
        deadlines.limit(&connection.stream, sent).await?;

        if prepared.complete {
            let mut answer = Answer::new(self, choice, cors, idle_ns, upgrade);
            let result = deadlines.limit(&connection.stream, answer.run(stream, reused)).await;
            return self.settle(&answer, result, link, upstream, prepared.taken, Vec::new());
        }
        if self.head.expect_continue {
            // Routing, limits and filters have let the request through: now its body is wanted (row C40).
            let leave = connection.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            let work = async { leave.await.map_err(|_| ProxyError::ClientGone) };
            deadlines.limit(&connection.stream, work).await?;
        }
        Box::pin(self.attempt_with_upload(choice, cors, prepared, upgrade, (timeout_ns, idle_ns), link, upstream)).await
    }

    /// The request body is still arriving while the answer may already come.
    #[allow(clippy::too_many_arguments)]
    async fn attempt_with_upload(
        &self,
        choice: &Choice,
        cors: &[u8],
        prepared: &mut Prepared,
        upgrade: Option<&[u8]>,
        (timeout_ns, idle_ns): (u64, u64),
        link: Link,
        upstream: Upstream,
    ) -> Result<Answered, Failed> {
        let stream = &link.stream;
        let connection = self.connection;
        let deadlines = &connection.deadlines;
        let pool = &connection.shared.buffers;
        let reused = upstream.reused;
        let body_idle_ns = self.compiled.options.body_idle_timeout_ns;
        deadlines.start_request(if idle_ns == 0 { body_idle_ns } else { idle_ns.min(body_idle_ns) }, true);
        let meter = Meter::new(deadlines);
        let mut answer = Answer::new(self, choice, cors, idle_ns, upgrade);
        let mut surplus = None;
        let sink = prepared.sink;
        let source = &mut prepared.source;
        let passes = |name: &[u8]| self.trailer_passes(choice, name);
        let result = {
            let mut uploading: Option<Upload<'_>> =
                Some(Box::pin(relay(pool, &connection.stream, stream, source, (sink, &passes), &meter)));
            let mut answering = std::pin::pin!(answer.run(stream, reused));
            let both = std::future::poll_fn(|context| {
                if let Some(upload) = &mut uploading
                    && let std::task::Poll::Ready(done) = upload.as_mut().poll(context)
                {
                    uploading = None;
                    match done {
                        Ok(rest) => {
                            surplus = Some(rest);
                            deadlines.uploaded(timeout_ns, idle_ns);
                        }
                        // The upstream takes no more of the body; what it says about that is still worth reading.
                        Err(RelayError::Write(_)) => {}
                        Err(error) => return std::task::Poll::Ready(Err(upload_failure(error, reused))),
                    }
                }
                answering.as_mut().poll(context)
            });
            deadlines.limit(&connection.stream, both).await
        };
        self.record.received.set(self.record.received.get() + meter.bytes());
        let used = prepared.taken;
        match surplus {
            Some(surplus) => self.settle(&answer, result, link, upstream, used, surplus),
            None => {
                // The answer was complete before the request: neither connection can be used for another one.
                answer.upload_complete = false;
                self.settle(&answer, result, link, upstream, used, Vec::new())
            }
        }
    }

    fn settle(
        &self,
        answer: &Answer<'_, '_>,
        result: Result<(), ProxyError>,
        link: Link,
        mut upstream: Upstream,
        taken: usize,
        surplus: Vec<u8>,
    ) -> Result<Answered, Failed> {
        self.record.sent.set(answer.sent);
        if let Err(error) = result {
            return Err(Failed { error, started: answer.started });
        }
        if answer.reusable && answer.upload_complete {
            upstream.link = Some(link);
            upstream.keep();
        }
        let after = if answer.close || !answer.upload_complete {
            if answer.aborted { After::Abort } else { After::Close }
        } else {
            After::Keep { used: self.head_len + taken, surplus }
        };
        Ok(Answered { after })
    }
}
