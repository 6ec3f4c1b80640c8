//! Forwarding one request: attempts, the two bodies, the answer.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::Scheme;
use sluice_host::{TcpIo, Timer};
use sluice_http1::{Framing, Version};
use sluice_policy::stats::Field;
use sluice_policy::upstream::{Observation, hash};
use sluice_snapshot::{Choice, Forward, HashSource, Route};

use crate::answer::Answer;
use crate::client::Client;
use crate::downstream::After;
use crate::error::{ProxyError, Side};
use crate::heads;
use crate::prepare::Prepared;
use crate::reply::Reply;
use crate::request::Request;
use crate::response_head::header;
use crate::retry::Attempts;
use crate::rules::{self, nanos};
use crate::transform::Bridge;
use crate::upstream::{Ask, Upstream, Wire, acquire};

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

/// What is the same for all attempts of a request.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'p> {
    pub(crate) choice: &'p Choice,
    pub(crate) forward: &'p Forward,
    /// What hashing balancers choose by.
    pub(crate) key: Option<u64>,
    /// Complete header lines for the answer.
    pub(crate) lines: &'p [u8],
    pub(crate) upgrade: Option<&'p [u8]>,
    pub(crate) attempts: &'p Attempts,
    pub(crate) bridge: Bridge,
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
    pub(crate) async fn forward(&self, route: &Route, choice: &Choice, forward: &Forward) -> After {
        let path = self.head.path(self.bytes);
        let mut rewritten = Vec::new();
        if let Some(rewrite) = &forward.path_rewrite
            && rewrite.apply(path, route.path.matched(path), &mut rewritten).is_err()
        {
            let reply = Reply::new(400).body(b"text/plain", b"the path is not in normal form\n");
            return self.reply(reply, "DPE").await;
        }
        let target: &[u8] = if forward.path_rewrite.is_some() { &rewritten } else { path };
        let upgrade = self.allowed_upgrade(route, forward);
        if upgrade.is_none() && self.connection.client.connects() {
            let reply = Reply::new(403).body(b"text/plain", b"the route does not allow this upgrade\n");
            return self.reply(reply, "-").await;
        }
        let bridge = match (upgrade, &self.connection.client) {
            (Some(_), _) => Bridge::None,
            (None, client) => Bridge::of(&self.compiled.options, self.head, self.bytes, !client.in_frames()),
        };
        if !route.shadows.is_empty() {
            crate::shadow::mirror(self, route);
        }
        let whole = match self.compiled.options.max_request_bytes {
            Some(limit) if upgrade.is_none() && self.head.framing != Framing::None => {
                match Box::pin(self.hold(limit, choice, bridge)).await {
                    Ok(whole) => whole,
                    Err(error) => return self.fail(&error).await,
                }
            }
            _ => None,
        };
        let Ok(mut prepared) = self.prepare(choice, forward, target, upgrade, bridge, whole) else {
            let reply = Reply::new(400).body(b"text/plain", b"the request body is malformed\n");
            return self.reply_and(reply, "DPE", true).await;
        };
        let cluster = self.compiled.cluster(forward.cluster);
        let shared = &self.connection.shared;
        let complete = prepared.is_replayable() && upgrade.is_none();
        let attempts =
            Attempts::new(shared, forward, cluster.map(|cluster| &**cluster), self.is_idempotent(), complete);
        let (key, lines) = self.stickiness(forward, self.cors_lines());
        let plan = Plan { choice, forward, key, lines: &lines, upgrade, attempts: &attempts, bridge };
        let after = loop {
            match self.attempt(&plan, &mut prepared).await {
                Ok(answered) => break answered.after,
                Err(Failed { error, started: true }) => {
                    self.record.flags.set(error.answer().1);
                    // To a client of HTTP/1.0 the close may be the end of the body: only a reset tells it otherwise.
                    if let (Client::Http1(client), Version::Http10) = (&self.connection.client, self.head.version) {
                        client.with_tcp(TcpIo::reset_on_close);
                    }
                    break After::Abort;
                }
                Err(Failed { error, started: false }) => {
                    let Some(delay_ns) = attempts.next(&error, self.record.upstream.get()) else {
                        break self.fail(&error).await;
                    };
                    self.count_cluster(Field::Retries);
                    if delay_ns > 0
                        && let Err(error) = self.pause(delay_ns).await
                    {
                        break self.fail(&error).await;
                    }
                }
            }
        };
        self.connection.shared.scratch.put_out(std::mem::take(&mut prepared.out));
        after
    }

    pub(crate) async fn pause(&self, delay_ns: u64) -> Result<(), ProxyError> {
        self.connection.deadlines.attempt(0);
        let host = &self.connection.shared.host;
        let until = host.now_ns().saturating_add(delay_ns);
        let timer = Timer::new(host);
        let waiting = async {
            timer.sleep_until(until).await;
            Ok(())
        };
        self.connection.deadlines.limit(&self.connection.client, waiting).await
    }

    fn count_cluster(&self, field: Field) {
        let row = self.record.cluster_slot.get().and_then(|slot| self.connection.shared.cluster_row(slot));
        if let Some(row) = row {
            row.add(field, 1);
        }
    }

    /// Tells the client that there is no answer.
    pub(crate) async fn fail(&self, error: &ProxyError) -> After {
        let (status, flag) = error.answer();
        self.record.flags.set(flag);
        if matches!(
            error,
            ProxyError::Timeout | ProxyError::PerTryTimeout | ProxyError::IdleTimeout | ProxyError::ConnectTimeout
        ) {
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

    async fn attempt(&self, plan: &Plan<'_>, prepared: &mut Prepared) -> Result<Answered, Failed> {
        let connection = self.connection;
        let shared = &connection.shared;
        let deadlines = &connection.deadlines;
        let Plan { forward, attempts, .. } = *plan;
        let idle_ns = idle_ns(forward);
        let timeout_ns = if plan.upgrade.is_some() { 0 } else { forward.timeout.map_or(0, nanos) };
        let cluster = self.compiled.cluster(forward.cluster).ok_or(ProxyError::NoEndpoint)?;
        let fresh = attempts.failed() > 0;
        if !fresh {
            self.record.cluster.replace(Some(std::sync::Arc::clone(&cluster.name)));
            self.record.cluster_slot.set(Some(cluster.slot as usize));
        }
        self.record.upstream_start_ns.set(shared.host.now_ns());
        self.record.upstream_status.set(0);
        match (prepared.is_replayable(), fresh) {
            (true, false) => deadlines.uploaded(timeout_ns, idle_ns),
            // The request's timeout is for all attempts together.
            (true, true) => deadlines.resumed(idle_ns),
            (false, _) => deadlines.start_request(idle_ns, false),
        }
        if attempts.per_try_ns != 0 {
            deadlines.attempt(attempts.per_try_ns);
        }
        let (upstream, wire) = {
            let avoided = if fresh { attempts.avoided().clone() } else { Vec::new() };
            let ask = Ask {
                cluster,
                version: self.compiled.version,
                key: plan.key,
                avoid: &avoided,
                fresh,
                limited: attempts.limited,
                preface: b"",
            };
            let acquired = acquire(shared, &ask);
            deadlines.limit(&connection.client, acquired).await?
        };
        self.record.upstream.set(Some(upstream.chosen.address));
        let reused = upstream.reused;
        let encrypted = cluster.tls.is_some();
        let sent = deadlines.limit(&connection.client, send_head(&wire, prepared, encrypted, reused)).await;
        if let Err(error) = sent {
            self.observe(&upstream, Some(&error));
            return Err(error.into());
        }

        if prepared.complete {
            let mut answer = Answer::new(self, plan, idle_ns);
            let result = deadlines.limit(&connection.client, answer.run(&wire, reused)).await;
            return self.settle(&answer, result, wire, &upstream, prepared.taken, Vec::new());
        }
        if self.head.expect_continue && prepared.held().is_none() {
            // Routing, limits and filters have let the request through: now its body is wanted (row C40).
            deadlines.limit(&connection.client, connection.client.send_continue()).await?;
        }
        Box::pin(self.attempt_with_upload(plan, prepared, (timeout_ns, idle_ns), wire, upstream)).await
    }

    /// Tells what became of an attempt to those who choose endpoints.
    fn observe(&self, upstream: &Upstream, error: Option<&ProxyError>) {
        let status = self.record.upstream_status.get();
        let what = match error {
            _ if status != 0 => Observation::Status(status),
            Some(error) if error.side() == Side::Upstream => Observation::LocalFailure,
            _ => return,
        };
        let now = self.connection.shared.host.now_ns();
        let start = self.record.upstream_start_ns.get();
        let head = if status == 0 { now } else { self.record.upstream_head_ns.get() };
        upstream.chosen.observe(what, head.saturating_sub(start), now);
    }

    /// The key that chooses the endpoint, and the lines for the client, among them the cookie that keeps it there.
    fn stickiness<'l>(&self, forward: &Forward, cors: &'l [u8]) -> (Option<u64>, Cow<'l, [u8]>) {
        let Some(source) = forward.hash.as_deref() else { return (None, Cow::Borrowed(cors)) };
        let key = rules::key(self, source);
        let HashSource::Cookie { name, set: Some(set) } = source else { return (key, Cow::Borrowed(cors)) };
        if key.is_some() {
            return (key, Cow::Borrowed(cors));
        }
        let value = format!("{:016x}", self.connection.shared.random());
        let mut cookie = [&name[..], b"=", value.as_bytes()].concat();
        if !set.path.is_empty() {
            cookie.extend_from_slice(b"; Path=");
            cookie.extend_from_slice(&set.path);
        }
        if let Some(age) = set.max_age_s {
            cookie.extend_from_slice(b"; Max-Age=");
            cookie.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
        }
        cookie.extend_from_slice(b"; HttpOnly");
        let mut lines = cors.to_vec();
        header(&mut lines, b"set-cookie", &cookie);
        (Some(hash::header_key(value.as_bytes())), Cow::Owned(lines))
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
        self.observe(upstream, result.as_ref().err());
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
