//! What would happen to a request, decided by the code that decides it for traffic.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use sluice_http1::{HeaderKind, RequestHead, parse_request};
use sluice_policy::facts::RequestFacts;
use sluice_policy::{ClientInfo, RedirectRequest, Scheme};
use sluice_snapshot::{
    Action, Choice, Compiled, HostRewrite, InsecureAction, Listener, Route, Selection, VirtualHost, select,
};

use crate::request::{HeaderView, joined};
use crate::request_head::{BodyHeader, UpstreamHead};
use crate::transform::{Bridge, request_change};

/// A request that nobody sent.
pub struct Question<'q> {
    /// Method.
    pub method: &'q str,
    /// Absolute URL, or path with a `host` header.
    pub url: &'q str,
    /// Header fields.
    pub headers: &'q [(String, String)],
    /// Section name of the listener; by default the first that fits the scheme.
    pub listener: Option<&'q str>,
    /// Address the request would come from.
    pub peer: IpAddr,
}

/// The request as bytes, and whether it would come over TLS.
fn message(question: &Question<'_>) -> Result<(Vec<u8>, bool), String> {
    let (scheme, rest) = question.url.split_once("://").unwrap_or(("", question.url));
    let (authority, target) = match (scheme, rest.find(['/', '?'])) {
        ("", _) => ("", rest),
        (_, Some(at)) => rest.split_at(at),
        (_, None) => (rest, "/"),
    };
    let tls = match scheme {
        "" | "http" => false,
        "https" => true,
        other => return Err(format!("the scheme {other:?} is neither http nor https")),
    };
    let mut bytes = question.method.as_bytes().to_vec();
    bytes.push(b' ');
    if !target.starts_with('/') && target != "*" {
        bytes.push(b'/');
    }
    bytes.extend_from_slice(target.as_bytes());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    let named = question.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !named {
        let host = if authority.is_empty() { "localhost" } else { authority };
        bytes.extend_from_slice(format!("host: {host}\r\n").as_bytes());
    }
    for (name, value) in question.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    Ok((bytes, tls))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Answers as JSON text. The error says why the question cannot be asked.
pub fn explain(compiled: &Compiled, question: &Question<'_>) -> Result<String, String> {
    let (bytes, tls) = message(question)?;
    let options = &compiled.options;
    let mut head = RequestHead::new();
    let length = match parse_request(&bytes, &options.head_limits, &options.normalize, &mut head) {
        Ok(Some(length)) => length,
        Ok(None) => return Err("the request is incomplete".to_owned()),
        Err(error) => {
            let refused = json!({"outcome": "refused", "status": error.status, "reason": error.reason.as_str()});
            return Ok(refused.to_string());
        }
    };
    let listener = match question.listener {
        Some(name) => compiled.listener(name).ok_or_else(|| format!("there is no listener {name:?}"))?,
        None => {
            let fits = |listener: &&std::sync::Arc<Listener>| listener.encrypted == tls;
            compiled.listeners().find(fits).or_else(|| compiled.listeners().next()).ok_or("there is no listener")?
        }
    };
    if tls && let Some(reason) = refused_handshake(listener, server_name(question.url)) {
        let name = server_name(question.url);
        let refused = json!({
            "outcome": "tls_refused", "listener": listener.name.as_ref(), "server_name": name, "reason": reason,
        });
        return Ok(refused.to_string());
    }
    let explained = Explained { compiled, listener, head: &head, bytes: &bytes, length, peer: question.peer, tls };
    Ok(explained.answer().to_string())
}

/// The name that a client puts into its hello for a URL; none for an IP address (RFC 6066, section 3).
fn server_name(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.find(['/', '?']).map_or(rest, |at| &rest[..at]);
    if authority.starts_with('[') {
        return None;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    (host.parse::<IpAddr>().is_err() && !host.is_empty()).then_some(host)
}

/// Why the handshake fails before there is a request; `None` if there is a certificate for the name.
fn refused_handshake(listener: &Listener, name: Option<&str>) -> Option<String> {
    if !listener.encrypted || listener.tls.as_ref().is_some_and(|tls| tls.config(name).is_some()) {
        return None;
    }
    let whom = name.map_or_else(|| "a client that names no host".to_owned(), |name| format!("the host {name:?}"));
    Some(format!("there is no certificate for {whom}: the connection is closed during the TLS handshake"))
}

struct Explained<'e> {
    compiled: &'e Compiled,
    listener: &'e Listener,
    head: &'e RequestHead,
    bytes: &'e [u8],
    length: usize,
    peer: IpAddr,
    tls: bool,
}

impl Explained<'_> {
    fn client(&self) -> ClientInfo {
        let of_kind = |kind: HeaderKind| self.head.headers.iter().filter(move |entry| entry.kind == kind);
        let forwarded = of_kind(HeaderKind::XForwardedFor).map(|entry| entry.value.of(self.bytes));
        let proto = self.head.header_of_kind(self.bytes, HeaderKind::XForwardedProto);
        sluice_policy::compute(self.peer, self.tls, forwarded, proto, &self.listener.trust)
    }

    fn answer(&self) -> Value {
        let client = self.client();
        let headers = HeaderView { head: self.head, bytes: self.bytes };
        let request = sluice_route::Request {
            method: self.head.method_span.of(self.bytes),
            host: self.head.host(self.bytes),
            path: self.head.path(self.bytes),
            query: self.head.query(self.bytes),
            headers: &headers,
        };
        let mut answer = json!({
            "listener": self.listener.name.as_ref(),
            "request": {
                "method": text(request.method),
                "host": text(request.host),
                "path": text(request.path),
                "query": request.query.map(text),
                "client": client.client.to_string(),
                "secure": client.secure,
            },
        });
        if self.compiled.options.ip_rules.as_ref().is_some_and(|rules| !rules.admits(self.peer, client.client)) {
            answer["outcome"] = json!("address_denied");
            answer["status"] = json!(403);
            return answer;
        }
        // The first choice stands for its group; the shares are listed beside it.
        let part = match select(self.listener, &request, client.secure, &mut || 0.0) {
            Selection::NoHost => json!({"outcome": "no_virtual_host", "status": 404}),
            Selection::NoRoute => json!({"outcome": "no_route", "status": 404}),
            Selection::InsecureRedirect(host) => {
                let location = self.location(&sluice_policy::Redirect::to_https(host.redirect_port), &client, 0);
                json!({"outcome": "redirect_to_https", "virtual_host": &*host.name, "status": 301, "location": location})
            }
            Selection::InsecureReject => json!({"outcome": "insecure_rejected", "status": 403}),
            Selection::Matched { host, route, choice } => self.matched(host, route, choice, &client),
        };
        if let (Value::Object(answer), Value::Object(part)) = (&mut answer, part) {
            answer.extend(part);
        }
        answer
    }

    fn matched(&self, virtual_host: &VirtualHost, route: &Route, choice: &Choice, client: &ClientInfo) -> Value {
        let rank = virtual_host.routes.iter().position(|other| std::ptr::eq(other, route));
        let insecure = match virtual_host.insecure_action {
            InsecureAction::Route => "route",
            InsecureAction::Redirect => "redirect",
            InsecureAction::Reject => "reject",
        };
        let mut part = json!({
            "virtual_host": {"name": &*virtual_host.name, "domains": &*virtual_host.domains, "insecure_action": insecure},
            "route": {
                "name": &*route.name,
                "origin": route.origin.to_string(),
                "rank": rank,
                "of": virtual_host.routes.len(),
                "path_match": {"kind": format!("{:?}", route.path.kind).to_ascii_lowercase(), "value": &*route.path.value},
                "shares": route.choices.iter()
                    .map(|choice| json!({"weight": choice.weight, "origin": choice.origin.to_string()}))
                    .collect::<Vec<_>>(),
                "limits": route.limits.iter().map(|limit| &*limit.name).collect::<Vec<_>>(),
                "filters": &*route.filters,
                "shadows": route.shadows.iter().map(|shadow| &*shadow.cluster_name).collect::<Vec<_>>(),
            },
        });
        let path = self.head.path(self.bytes);
        let outcome = match &choice.action {
            _ if route.broken.is_some() => json!({"outcome": "broken_route", "status": 500, "reason": route.broken}),
            Action::Direct(direct) => json!({"outcome": "direct_response", "status": direct.status}),
            Action::Redirect(redirect) => json!({
                "outcome": "redirect",
                "status": redirect.status(),
                "location": self.location(redirect, client, route.path.matched(path)),
            }),
            Action::Forward(forward) => {
                let mut target = Vec::new();
                let applied = match &forward.path_rewrite {
                    None => {
                        target.extend_from_slice(path);
                        true
                    }
                    Some(rewrite) => rewrite.apply(path, route.path.matched(path), &mut target).is_ok(),
                };
                if applied {
                    self.forward(forward, choice, client, &target)
                } else {
                    json!({"outcome": "refused", "status": 400, "reason": "rewritten_path_not_normal"})
                }
            }
        };
        if let (Value::Object(part), Value::Object(outcome)) = (&mut part, outcome) {
            part.extend(outcome);
        }
        part
    }

    fn location(&self, redirect: &sluice_policy::Redirect, client: &ClientInfo, matched: usize) -> Option<String> {
        let request = RedirectRequest {
            scheme: client.scheme,
            host: self.head.host(self.bytes),
            port: self.head.port,
            path: self.head.path(self.bytes),
            query: self.head.query(self.bytes),
            matched,
        };
        let mut out = Vec::new();
        redirect.location(&request, &mut out).ok().map(|()| text(&out))
    }

    fn forward(
        &self,
        forward: &sluice_snapshot::Forward,
        choice: &sluice_snapshot::Choice,
        client: &ClientInfo,
        target: &[u8],
    ) -> Value {
        let cluster = self.compiled.cluster(forward.cluster);
        let authority = self.head.authority.as_ref().map_or(&b""[..], |span| span.of(self.bytes));
        let host: &[u8] = match &forward.host_rewrite {
            HostRewrite::Keep => authority,
            HostRewrite::Literal(host) => host,
            HostRewrite::Upstream => cluster.and_then(|c| c.host_name()).map_or(authority, str::as_bytes),
        };
        let headers = HeaderView { head: self.head, bytes: self.bytes };
        let full = joined(target, self.head.query(self.bytes));
        let path = self.head.path(self.bytes);
        let facts = RequestFacts {
            method: self.head.method_span.of(self.bytes),
            path: &full,
            original_path: None,
            authority,
            scheme: if self.tls { Scheme::Https } else { Scheme::Http },
            protocol: "HTTP/1.1",
            start_unix_ns: 0,
            client: client.client,
            client_port: 0,
            peer: self.peer,
            request_id: b"",
            forwarded_for: None,
            headers: &headers,
        };
        let options = &self.compiled.options;
        let bridge = Bridge::of(options, self.head, self.bytes, true);
        let change = request_change(options, bridge, self.head, self.bytes);
        let mut out = Vec::new();
        UpstreamHead {
            head: self.head,
            bytes: self.bytes,
            head_len: self.length,
            path: target,
            original_path: (path != target).then_some(path),
            host,
            client,
            peer: self.peer,
            append_peer: self.compiled.options.trust.use_remote_address,
            request_id: b"00000000-0000-4000-8000-000000000000",
            timeout_ms: forward.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            suppress_envoy: self.compiled.options.suppress_envoy_headers,
            body: BodyHeader::None,
            upgrade: None,
            edits: &choice.request_headers,
            edit_facts: &facts,
            filter_remove: &[],
            filter_set: &[],
            change: change.as_ref(),
            case: &self.compiled.options.header_case,
        }
        .write(&mut out);
        let sent = text(&out);
        let mut lines = sent.split("\r\n").filter(|line| !line.is_empty());
        let request_line = lines.next().unwrap_or_default().to_owned();
        let fields: Vec<Value> = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| json!([n, v])).collect();
        let mut upstream = Map::new();
        upstream.insert("cluster".into(), json!(&*forward.cluster_name));
        match cluster {
            None => drop(upstream.insert("problem".into(), json!("there is no such cluster: 503"))),
            Some(cluster) => {
                let endpoints: Vec<String> = cluster.endpoints.iter().map(|(address, _)| address.to_string()).collect();
                upstream.insert("endpoints".into(), json!(endpoints));
                let name = cluster.dns.as_ref().map(|dns| format!("{}:{}", dns.host, dns.port));
                upstream.insert("resolves".into(), json!(name));
                upstream.insert("tls".into(), json!(cluster.tls.is_some()));
                if let Some(broken) = &cluster.broken {
                    upstream.insert("problem".into(), json!(broken));
                }
            }
        }
        upstream.insert("request_line".into(), json!(request_line));
        upstream.insert("headers".into(), Value::Array(fields));
        upstream.insert("timeout_ms".into(), json!(forward.timeout.map(|timeout| timeout.as_millis())));
        json!({"outcome": "forward", "upstream": upstream})
    }
}
