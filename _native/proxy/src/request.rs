//! One request from its parsed head to the end of its answer.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};

use sluice_http1::{HeaderKind, RequestHead};
use sluice_policy::facts::RequestFacts;
use sluice_policy::stats::{Global, Pressure};
use sluice_policy::{ClientInfo, CorsDecision, Redirect, RedirectRequest, uuid_v4};
use sluice_snapshot::{Action, Choice, Compiled, Listener, Route, Selection, VirtualHost, select};

use crate::client::Client;
use crate::downstream::{After, Downstream};
use crate::record::Record;
use crate::reply::Reply;
use crate::response_head::header;

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
    /// The route that was chosen, once it is.
    pub(crate) route: Cell<Option<&'c Route>>,
    pub(crate) client: ClientInfo,
    pub(crate) request_id: [u8; 36],
    pub(crate) filtered: RefCell<FilterEdits>,
    /// Complete header lines that the CORS policy of the route adds to every answer from its decision on.
    pub(crate) cors: OnceCell<Vec<u8>>,
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
            route: Cell::default(),
            client: sluice_policy::compute(
                connection.peer.ip(),
                connection.client.is_tls(),
                forwarded_for,
                proto,
                &trust,
            ),
            request_id: uuid_v4(shared.random(), shared.random()),
            filtered: RefCell::default(),
            cors: OnceCell::new(),
        }
    }

    /// Serves the request and settles counters and log.
    pub(crate) async fn serve(self) -> After {
        let after = self.answer().await;
        self.record.count(&self.connection.shared, self.connection.slot);
        if self.compiled.options.access_log.is_some() {
            let query = self.head.query(self.bytes);
            let path = joined(self.head.path(self.bytes), query);
            let headers = HeaderView { head: self.head, bytes: self.bytes };
            let facts = self.facts(&path, None, &headers);
            let route = self.route.get().map(|route| &*route.name);
            self.record.log(&self.connection.shared, self.compiled, route, facts);
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
            protocol: self.connection.client.protocol(self.head.version.as_str()),
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

    /// The port where the same is served over HTTP/3; told to clients that came over TLS and TCP.
    pub(crate) fn alternative(&self) -> Option<u16> {
        let client = &self.connection.client;
        if !client.is_tls() || matches!(client, Client::Http3(_)) {
            return None;
        }
        let listener = self.compiled.listener(&self.connection.listener)?;
        listener.advertises_http3().then_some(listener.port)
    }

    async fn answer(&self) -> After {
        if self.connection.shared.pressure() == Pressure::Refuse {
            self.connection.shared.count(Global::Shed, 1);
            let reply = Reply::new(503).header(b"retry-after", b"1").body(b"text/plain", b"overloaded\n");
            return self.reply_and(reply, "OM", true).await;
        }
        let Some(listener) = self.compiled.listener(&self.connection.listener) else {
            return self.reply(Reply::new(404), "NR").await;
        };
        if let Some(rules) = &self.compiled.options.ip_rules
            && !rules.admits(self.connection.direct, self.client.client)
        {
            self.connection.shared.count(Global::AddressDenied, 1);
            return self.reply(Reply::new(403).body(b"text/plain", b"access denied\n"), "RBAC").await;
        }
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
                self.route.set(Some(route));
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
        if let Some(policy) = &route.cors {
            let method = self.head.method_span.of(self.bytes);
            let field = |name: &[u8]| self.head.header(self.bytes, name);
            let origin = self.head.header_of_kind(self.bytes, HeaderKind::Origin);
            let asked = field(b"access-control-request-method");
            let mut cors = Vec::new();
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
            self.cors.get_or_init(|| cors);
        }
        if let Some(wait_ns) = self.limited(route) {
            shared.count(Global::RateLimited, 1);
            let seconds = wait_ns.div_ceil(1_000_000_000).clamp(1, 86_400);
            let reply = Reply::new(429)
                .header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes())
                .body(b"text/plain", b"rate limit exceeded\n");
            return self.reply(reply, "RL").await;
        }
        for filter in &route.filters {
            if let Some(after) = Box::pin(self.filter(filter, route)).await {
                return after;
            }
        }
        if let Some(fault) = &route.fault
            && let Some(after) = Box::pin(self.inject(fault)).await
        {
            return after;
        }
        match &choice.action {
            Action::Direct(direct) => {
                let mut reply = Reply::new(direct.status).body(b"text/plain", &direct.body);
                for added in &direct.headers {
                    reply = reply.header(added.name(), &added.value(&self.facts(b"", None, &self.view())));
                }
                self.reply(reply, "-").await
            }
            Action::Redirect(redirect) => {
                let matched = route.path.matched(self.head.path(self.bytes));
                self.redirect(redirect, matched, host).await
            }
            Action::Forward(forward) => self.forward(route, choice, forward).await,
        }
    }

    /// The lines of the CORS policy; empty without one.
    pub(crate) fn cors_lines(&self) -> &[u8] {
        self.cors.get().map_or(&[], Vec::as_slice)
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
}

/// Path and query as one.
pub(crate) fn joined<'p>(path: &'p [u8], query: Option<&[u8]>) -> Cow<'p, [u8]> {
    match query {
        None => Cow::Borrowed(path),
        Some(query) => Cow::Owned([path, b"?", query].concat()),
    }
}
