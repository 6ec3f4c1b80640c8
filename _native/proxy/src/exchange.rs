//! Forwarding one request: attempts, the two bodies, the answer.

use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use sluice_http1::Framing;
use sluice_policy::stats::Field;
use sluice_snapshot::{Choice, Forward, Route};

use crate::answer::Answer;
use crate::downstream::After;
use crate::error::{ProxyError, Retry, Side};
use crate::heads;
use crate::prepare::Prepared;
use crate::reply::Reply;
use crate::request::Request;
use crate::upstream::{Upstream, Wire, acquire};

/// Attempts per request: the first, and one more where that is safe.
const ATTEMPTS: usize = 2;
/// Envoy's default stream idle timeout, in nanoseconds.
const STREAM_IDLE_NS: u64 = 300_000_000_000;

/// An attempt that ended in an answer, complete or not.
pub(crate) struct Answered {
    after: After,
}

/// Why an attempt failed, and whether the client has seen anything of it.
pub(crate) struct Failed {
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

fn idle_ns(forward: &Forward) -> u64 {
    forward.idle_timeout.map_or(STREAM_IDLE_NS, nanos)
}

/// Sends the head of the request and what is there of its body.
async fn send_head(wire: &Wire, prepared: &Prepared, encrypted: bool, reused: bool) -> Result<(), ProxyError> {
    match wire {
        Wire::Http1(link) => {
            let sent = link.stream.write_all(&prepared.out).await;
            sent.map_err(|error| ProxyError::UpstreamClosed { error, reused })
        }
        Wire::Http2(lease) => {
            let scheme = if encrypted { Scheme::HTTPS } else { Scheme::HTTP };
            let message = heads::request(&Bytes::copy_from_slice(&prepared.out), scheme)
                .map_err(|_| ProxyError::Untranslatable)?;
            let early = &prepared.early;
            lease.start(message, prepared.complete && early.is_empty()).await?;
            if early.is_empty() {
                return Ok(());
            }
            let sent = lease.sender.send(early.clone(), prepared.complete).await;
            sent.map_err(|error| ProxyError::UpstreamClosed { error, reused: false })
        }
    }
}

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
        match (prepared.complete, fresh) {
            (true, false) => deadlines.uploaded(timeout_ns, idle_ns),
            // The request's timeout is for all attempts together.
            (true, true) => deadlines.resumed(idle_ns),
            (false, _) => deadlines.start_request(idle_ns, false),
        }
        let acquired = acquire(shared, cluster, avoid, fresh);
        let (upstream, wire) = deadlines.limit(&connection.client, acquired).await?;
        self.record.upstream.set(Some(upstream.address));
        let reused = upstream.reused;
        let encrypted = cluster.tls.is_some();
        deadlines.limit(&connection.client, send_head(&wire, prepared, encrypted, reused)).await?;

        if prepared.complete {
            let mut answer = Answer::new(self, choice, cors, idle_ns, upgrade);
            let result = deadlines.limit(&connection.client, answer.run(&wire, reused)).await;
            return self.settle(&answer, result, wire, &upstream, prepared.taken, Vec::new());
        }
        if self.head.expect_continue {
            // Routing, limits and filters have let the request through: now its body is wanted (row C40).
            deadlines.limit(&connection.client, connection.client.send_continue()).await?;
        }
        let plan = (choice, cors, upgrade);
        Box::pin(self.attempt_with_upload(plan, prepared, (timeout_ns, idle_ns), wire, upstream)).await
    }

    pub(crate) fn settle(
        &self,
        answer: &Answer<'_, '_>,
        result: Result<(), ProxyError>,
        wire: Wire,
        upstream: &Upstream,
        taken: usize,
        surplus: Vec<u8>,
    ) -> Result<Answered, Failed> {
        self.record.sent.set(answer.sent);
        if let Err(error) = result {
            return Err(Failed { error, started: answer.started });
        }
        if answer.reusable && answer.upload_complete {
            upstream.keep(wire);
        }
        let after = if answer.close || !answer.upload_complete {
            if answer.aborted { After::Abort } else { After::Close }
        } else {
            After::Keep { used: self.head_len + taken, surplus }
        };
        Ok(Answered { after })
    }
}
