//! One request from its parsed head to the end of its answer.

use std::borrow::Cow;
use std::cell::RefCell;

use sluice_http1::{Framing, HeaderKind, Method, RequestHead, Version};
use sluice_policy::facts::RequestFacts;
use sluice_policy::stats::Global;
use sluice_policy::{ClientInfo, CorsDecision, Decision, KeyHasher, Redirect, RedirectRequest, uuid_v4};
use sluice_snapshot::{Action, Choice, Compiled, LimitSource, Listener, Route, Selection, VirtualHost, select};

use crate::deadline::Meter;
use crate::downstream::{After, DRAIN_LIMIT, Downstream};
use crate::record::Record;
use crate::relay::Source;
use crate::reply::Reply;
use crate::response_head::{ConnectionForm, header};
use crate::upcall::{Upcall, UpcallAnswer};

/// Header fields of the request for matching, limits and formats.
pub(crate) struct HeaderView<'r> {
    pub(crate) head: &'r RequestHead,
    pub(crate) bytes: &'r [u8],
}

impl sluice_route::Headers for HeaderView<'_> {
    fn any(&self, name: &[u8], f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let named = |entry: &&sluice_http1::HeaderEntry| entry.name.of(self.bytes).eq_ignore_ascii_case(name);
        self.head.headers.iter().filter(named).any(|entry| f(entry.value.of(self.bytes)))
    }
}

impl sluice_policy::Headers for HeaderView<'_> {
    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.head.header(self.bytes, name)
    }
}

/// What filters changed about a request.
#[derive(Default)]
pub(crate) struct FilterEdits {
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, String)>,
}

/// A request being served.
pub(crate) struct Request<'c> {
    pub(crate) connection: &'c Downstream,
    pub(crate) compiled: &'c Compiled,
    pub(crate) head: &'c RequestHead,
    /// The head and whatever came with it.
    pub(crate) bytes: &'c [u8],
    pub(crate) head_len: usize,
    pub(crate) record: Record,
    pub(crate) client: ClientInfo,
    pub(crate) request_id: [u8; 36],
    pub(crate) filtered: RefCell<FilterEdits>,
}

impl<'c> Request<'c> {
    pub(crate) fn new(
        connection: &'c Downstream,
        compiled: &'c Compiled,
        head: &'c RequestHead,
        bytes: &'c [u8],
        head_len: usize,
    ) -> Self {
        let shared = &connection.shared;
        let trust = compiled.listener(&connection.listener).map_or(compiled.options.trust, |listener| listener.trust);
        let of_kind = |kind: HeaderKind| head.headers.iter().filter(move |entry| entry.kind == kind);
        let forwarded_for = of_kind(HeaderKind::XForwardedFor).map(|entry| entry.value.of(bytes));
        let mut protos = of_kind(HeaderKind::XForwardedProto).map(|entry| entry.value.of(bytes));
        // Two values are no scheme: whoever reads the first and whoever reads the last would disagree.
        let proto = protos.next().filter(|_| protos.next().is_none());
        Self {
            connection,
            compiled,
            head,
            bytes,
            head_len,
            record: Record {
                start_ns: shared.host.now_ns(),
                start_wall_ns: shared.host.wall_ns(),
                ..Record::default()
            },
            client: sluice_policy::compute(
                connection.peer.ip(),
                connection.stream.is_tls(),
                forwarded_for,
                proto,
                &trust,
            ),
            request_id: uuid_v4(shared.random(), shared.random()),
            filtered: RefCell::default(),
        }
    }

    /// Serves the request and settles counters and log.
    pub(crate) async fn serve(self) -> After {
        let mut route = None;
        let after = self.answer(&mut route).await;
        self.record.count(&self.connection.shared, self.connection.slot);
        if self.compiled.options.access_log.is_some() {
            let query = self.head.query(self.bytes);
            let path = joined(self.head.path(self.bytes), query);
            let headers = HeaderView { head: self.head, bytes: self.bytes };
            let facts = self.facts(&path, None, &headers);
            self.record.log(&self.connection.shared, self.compiled, route.map(|route: &Route| &*route.name), facts);
        }
        self.connection.deadlines.clear();
        after
    }

    /// Facts for formats. `path` includes the query.
    pub(crate) fn facts<'f>(
        &'f self,
        path: &'f [u8],
        original_path: Option<&'f [u8]>,
        headers: &'f HeaderView<'f>,
    ) -> RequestFacts<'f> {
        RequestFacts {
            method: self.head.method_span.of(self.bytes),
            path,
            original_path,
            authority: self.authority(),
            scheme: self.client.scheme,
            protocol: if self.head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" },
            start_unix_ns: self.record.start_wall_ns,
            client: self.client.client,
            client_port: self.connection.peer.port(),
            peer: self.connection.peer.ip(),
            request_id: self.request_id(),
            forwarded_for: self.head.header_of_kind(self.bytes, HeaderKind::XForwardedFor),
            headers,
        }
    }

    /// The id the upstream sees.
    pub(crate) fn request_id(&self) -> &[u8] {
        let own = self.head.header_of_kind(self.bytes, HeaderKind::XRequestId);
        own.filter(|_| self.client.keep_request_id).unwrap_or(&self.request_id)
    }

    /// The host as received, with its port; empty for an HTTP/1.0 request without one.
    pub(crate) fn authority(&self) -> &[u8] {
        let authority = self.head.authority.as_ref().map_or(&b""[..], |span| span.of(self.bytes));
        let listener = || self.compiled.listener(&self.connection.listener);
        if !self.compiled.options.strip_matching_host_port
            || self.head.port.is_none()
            || self.head.port != listener().map(|listener| listener.port)
        {
            return authority;
        }
        let colon = authority.iter().rposition(|&byte| byte == b':');
        colon.and_then(|at| authority.get(..at)).unwrap_or(authority)
    }

    async fn answer(&self, served: &mut Option<&'c Route>) -> After {
        let Some(listener) = self.compiled.listener(&self.connection.listener) else {
            return self.reply(Reply::new(404), "NR").await;
        };
        if self.is_misdirected(listener) {
            return self.reply(Reply::new(421).body(b"text/plain", b"misdirected request\n"), "NR").await;
        }
        let headers = HeaderView { head: self.head, bytes: self.bytes };
        let request = sluice_route::Request {
            method: self.head.method_span.of(self.bytes),
            host: self.head.host(self.bytes),
            path: self.head.path(self.bytes),
            query: self.head.query(self.bytes),
            headers: &headers,
        };
        let mut roll = || self.connection.shared.percent();
        match select(listener, &request, self.client.secure, &mut roll) {
            Selection::NoHost | Selection::NoRoute => self.reply(Reply::new(404), "NR").await,
            Selection::InsecureRedirect(host) => self.redirect(&Redirect::to_https(host.redirect_port), 0, host).await,
            Selection::InsecureReject => {
                self.reply(Reply::new(403).body(b"text/plain", b"HTTPS is required\n"), "NR").await
            }
            Selection::Matched { route, choice, host } => {
                *served = Some(route);
                self.matched(host, route, choice).await
            }
        }
    }

    /// The connection's certificate belongs to another host (RFC 9110 section 15.5.20): rules that depend on the TLS
    /// settings of a host must not be walked around by naming it inside of a connection to another one.
    fn is_misdirected(&self, listener: &Listener) -> bool {
        let Some(chosen) = self.connection.termination else { return false };
        let host = String::from_utf8_lossy(self.head.host(self.bytes));
        listener.termination_of(Some(&host)).is_some_and(|wanted| wanted != chosen)
    }

    async fn matched(&self, host: &VirtualHost, route: &'c Route, choice: &'c Choice) -> After {
        let shared = &self.connection.shared;
        if route.broken.is_some() {
            return self.reply(Reply::new(500).body(b"text/plain", b"the route is misconfigured\n"), "-").await;
        }
        let mut cors = Vec::new();
        if let Some(policy) = &route.cors {
            let method = self.head.method_span.of(self.bytes);
            let field = |name: &[u8]| self.head.header(self.bytes, name);
            let origin = self.head.header_of_kind(self.bytes, HeaderKind::Origin);
            let asked = field(b"access-control-request-method");
            match policy.decide(method, origin, asked, field(b"access-control-request-headers")) {
                CorsDecision::Pass if policy.varies() => header(&mut cors, b"vary", b"Origin"),
                CorsDecision::Pass => {}
                CorsDecision::Preflight(grant) => {
                    grant.preflight(|name, value| header(&mut cors, name.as_bytes(), value));
                    return self.reply(Reply::new(200).lines(&cors), "-").await;
                }
                CorsDecision::Actual(grant) => {
                    grant.actual(|name, value| header(&mut cors, name.as_bytes(), value));
                }
            }
        }
        if let Some(wait_ns) = self.limited(route) {
            shared.count(Global::RateLimited, 1);
            let seconds = wait_ns.div_ceil(1_000_000_000).clamp(1, 86_400);
            let reply = Reply::new(429)
                .header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes())
                .lines(&cors)
                .body(b"text/plain", b"rate limit exceeded\n");
            return self.reply(reply, "RL").await;
        }
        for filter in &route.filters {
            if let Some(after) = Box::pin(self.filter(filter, route)).await {
                return after;
            }
        }
        match &choice.action {
            Action::Direct(direct) => {
                let mut reply = Reply::new(direct.status).body(b"text/plain", &direct.body).lines(&cors);
                for added in &direct.headers {
                    reply = reply.header(added.name(), &added.value(&self.facts(b"", None, &self.view())));
                }
                self.reply(reply, "-").await
            }
            Action::Redirect(redirect) => {
                let matched = route.path.matched(self.head.path(self.bytes));
                self.redirect(redirect, matched, host).await
            }
            Action::Forward(forward) => self.forward(route, choice, forward, &cors).await,
        }
    }

    pub(crate) fn view(&self) -> HeaderView<'_> {
        HeaderView { head: self.head, bytes: self.bytes }
    }

    async fn redirect(&self, redirect: &Redirect, matched: usize, _host: &VirtualHost) -> After {
        let request = RedirectRequest {
            scheme: self.client.scheme,
            host: self.head.host(self.bytes),
            port: self.head.port,
            path: self.head.path(self.bytes),
            query: self.head.query(self.bytes),
            matched,
        };
        let mut location = Vec::with_capacity(128);
        match redirect.location(&request, &mut location) {
            Ok(()) => self.reply(Reply::new(redirect.status()).header(b"location", &location), "-").await,
            Err(_) => self.reply(Reply::new(400).body(b"text/plain", b"cannot redirect this request\n"), "DPE").await,
        }
    }

    /// Nanoseconds to wait when a rate limit of the route refuses the request.
    fn limited(&self, route: &Route) -> Option<u64> {
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
    async fn filter(&self, filter: &str, route: &Route) -> Option<After> {
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
        self.connection.deadlines.uploaded(crate::UPCALL_TIMEOUT_NS, 0);
        let work = async { Ok(shared.upcalls.call(upcall).await) };
        match self.connection.deadlines.limit(&self.connection.stream, work).await {
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

    /// How the client's connection goes on after a complete answer.
    pub(crate) fn connection_form(&self, close: bool) -> ConnectionForm {
        let draining = self.connection.shared.draining.get();
        if close || draining || !self.head.keep_alive {
            ConnectionForm::Close
        } else if self.head.version == Version::Http10 {
            ConnectionForm::KeepAlive
        } else {
            ConnectionForm::Open
        }
    }

    /// The body of the request as a source, from the first byte behind the head.
    pub(crate) fn source(&self) -> Source {
        match self.head.framing {
            Framing::None => Source::Empty,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Box::default()),
        }
    }

    /// Sends an answer of the gateway and settles what to do with the request's body.
    pub(crate) async fn reply(&self, reply: Reply<'_>, flag: &'static str) -> After {
        self.reply_and(reply, flag, false).await
    }

    /// As [`Request::reply`]; with `close` the connection ends with it.
    pub(crate) async fn reply_and(&self, reply: Reply<'_>, flag: &'static str, close: bool) -> After {
        let connection = self.connection;
        let shared = &connection.shared;
        let present = self.bytes.len() - self.head_len;
        let drainable = match self.head.framing {
            Framing::None => true,
            // The client waits for leave to send; it will not be given.
            _ if self.head.expect_continue => false,
            Framing::Length(length) => length <= DRAIN_LIMIT.max(present as u64),
            Framing::Chunked => true,
        };
        let form = self.connection_form(close || !drainable);
        let reply = reply.connection(form).head_only(self.head.method == Method::Head);
        self.record.status.set(reply.status());
        self.record.flags.set(flag);
        let mut out = shared.scratch.out();
        reply.write(shared, self.compiled, &mut out);
        connection.deadlines.start_request(self.compiled.options.body_idle_timeout_ns, true);
        let work = async { connection.stream.write_all(&out).await.map_err(|_| crate::ProxyError::ClientGone) };
        let written = connection.deadlines.limit(&connection.stream, work).await;
        self.record.sent.set(reply.sent_body() as u64);
        shared.scratch.put_out(out);
        if written.is_err() {
            return After::Abort;
        }
        if form == ConnectionForm::Close {
            return After::Close;
        }
        if self.head.framing == Framing::None {
            return After::Keep { used: self.head_len, surplus: Vec::new() };
        }
        Box::pin(self.drain()).await
    }

    /// Reads and drops the body, so that the next request can be found behind it (row A11).
    async fn drain(&self) -> After {
        let connection = self.connection;
        let mut source = self.source();
        let mut first = self.bytes[self.head_len..].to_vec();
        let Ok(piece) = source.decode(&mut first) else { return After::Close };
        if piece.finished {
            return After::Keep { used: self.head_len + piece.used, surplus: Vec::new() };
        }
        let meter = Meter::new(&connection.deadlines);
        let work = async { Ok(drain(connection, &mut source, &meter).await) };
        match connection.deadlines.limit(&connection.stream, work).await {
            Ok(Some(surplus)) => After::Keep { used: self.bytes.len(), surplus },
            _ => After::Close,
        }
    }
}

/// Reads a body to its end, at most [`DRAIN_LIMIT`] bytes of it. `None` if it did not end in time or in order.
async fn drain(connection: &Downstream, source: &mut Source, meter: &Meter<'_>) -> Option<Vec<u8>> {
    let mut buffer = connection.shared.buffers.small();
    let mut left = DRAIN_LIMIT;
    let surplus = loop {
        let limit = match source {
            Source::Length(rest) => usize::try_from(*rest).unwrap_or(usize::MAX).min(buffer.len()),
            _ => buffer.len(),
        };
        let read = std::future::poll_fn(|context| connection.stream.poll_read(context, &mut buffer[..limit])).await;
        let count = match read {
            Ok(count) if count > 0 && count as u64 <= left => count,
            _ => break None,
        };
        left -= count as u64;
        crate::relay::Progress::moved(meter, count);
        match source.decode(&mut buffer[..count]) {
            Ok(piece) if piece.finished => break Some(buffer[piece.used..count].to_vec()),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    connection.shared.buffers.put(buffer);
    surplus
}

/// Path and query as one.
pub(crate) fn joined<'p>(path: &'p [u8], query: Option<&[u8]>) -> Cow<'p, [u8]> {
    match query {
        None => Cow::Borrowed(path),
        Some(query) => Cow::Owned([path, b"?", query].concat()),
    }
}
