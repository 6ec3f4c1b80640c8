//! A compiled route.

use std::sync::Arc;
use std::time::Duration;

use crate::edits::{self, HeaderAdd, HeaderEdits};
use crate::error::Findings;
use crate::ids::{ClusterId, Ids};
use crate::model::{self, Origin, PathMatchKind};
use crate::policy::{Cors, RouteLimit};
use crate::rewrite::{Matching, PathRewrite};

/// The path comparison of a route, for rewrites and for explaining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// How the path is compared.
    pub kind: PathMatchKind,
    /// What it is compared with, as declared.
    pub value: Box<str>,
    /// How much of a path matches, for [`PathRewrite::apply`].
    pub matching: Matching,
}

/// One entry of a virtual host.
#[derive(Debug)]
pub struct Route {
    /// Unique in its virtual host.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
    /// The path comparison.
    pub path: PathInfo,
    /// Canary group; [`Choice::cumulative`] ascends.
    pub choices: Box<[Choice]>,
    /// Sum of the shares of all choices, of broken ones too; what is missing to 100 falls through to the next route.
    pub share: f64,
    /// Mirrors.
    pub shadows: Box<[Shadow]>,
    /// Cross-origin policy.
    pub cors: Option<Cors>,
    /// Rate limits.
    pub limits: Box<[RouteLimit]>,
    /// Allowed `Upgrade` protocols, lower case.
    pub upgrades: Box<[Box<str>]>,
    /// Skip the authorisation filters.
    pub bypass_auth: bool,
    /// Filters by name, in order.
    pub filters: Box<[Box<str>]>,
    /// Served over cleartext whatever the host says.
    pub insecure_exempt: bool,
    /// Why the route must answer 500 instead of doing half of what it was told; `None` for a sound route.
    pub broken: Option<String>,
}

/// One member of a canary group.
#[derive(Debug)]
pub struct Choice {
    /// Own share in percent.
    pub weight: f64,
    /// Sum of the shares up to and including this one.
    pub cumulative: f64,
    /// Where it was declared.
    pub origin: Origin,
    /// What it does.
    pub action: Action,
    /// Edits towards the upstream.
    pub request_headers: HeaderEdits,
    /// Edits towards the client.
    pub response_headers: HeaderEdits,
}

/// What a choice does.
#[derive(Debug)]
pub enum Action {
    /// Send to a cluster.
    Forward(Forward),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer at once.
    Direct(DirectResponse),
}

/// The host sent upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The client's.
    Keep,
    /// This one.
    Literal(Box<[u8]>),
    /// The name of the target.
    Upstream,
}

/// Send to a cluster.
#[derive(Debug)]
pub struct Forward {
    /// For `Compiled::cluster`.
    pub cluster: ClusterId,
    /// The same, by name.
    pub cluster_name: Arc<str>,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// Change of the host.
    pub host_rewrite: HostRewrite,
    /// Time for the whole request; `None` is off.
    pub timeout: Option<Duration>,
    /// Longest silence; `None` is the default of the listener, zero is off.
    pub idle_timeout: Option<Duration>,
}

/// Answer with a redirect; parts that are `None` are the request's.
#[derive(Debug)]
pub struct Redirect {
    /// Status code, 3xx.
    pub status: u16,
    /// Scheme.
    pub scheme: Option<Box<str>>,
    /// Host without port.
    pub host: Option<Box<str>>,
    /// Port.
    pub port: Option<u16>,
    /// Change of the path.
    pub path: Option<PathRewrite>,
}

/// Answer without an upstream.
#[derive(Debug)]
pub struct DirectResponse {
    /// Status code.
    pub status: u16,
    /// UTF-8 text.
    pub body: Arc<[u8]>,
    /// Headers.
    pub headers: Box<[HeaderAdd]>,
}

/// A mirror.
#[derive(Debug)]
pub struct Shadow {
    /// For `Compiled::cluster`.
    pub cluster: ClusterId,
    /// The same, by name.
    pub cluster_name: Arc<str>,
    /// Share of the requests in percent.
    pub percent: f64,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// Change of the host.
    pub host_rewrite: HostRewrite,
}

/// Collects what is wrong with the parts of a route.
struct Parts<'f> {
    at: String,
    broken: Option<String>,
    findings: &'f mut Findings,
}

impl Parts<'_> {
    /// The value, or a record of why the route is broken.
    fn keep<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result
            .inspect_err(|message| {
                self.findings.add(format!("{}.{path}", self.at), message);
                self.broken.get_or_insert_with(|| format!("{path}: {message}"));
            })
            .ok()
    }
}

impl Route {
    /// Compiles everything but the match, which the route table has. A bad part breaks the route and is reported.
    pub(crate) fn compile(index: usize, route: model::Route, ids: &mut Ids, findings: &mut Findings) -> Self {
        let mut parts = Parts { at: format!("routes[{index}]"), broken: None, findings };
        let path = PathInfo::new(&route.matcher.path);
        let mut choices = Vec::with_capacity(route.choices.len());
        let mut cumulative = 0.0;
        for (n, choice) in route.choices.into_iter().enumerate() {
            let at = format!("choices[{n}]");
            if !(0.0..=100.0).contains(&choice.weight) {
                parts.keep::<()>(&at, Err(format!("weight {} is not between 0 and 100", choice.weight)));
                // The route is broken; an unknown share of it must not fall through.
                cumulative = 100.0;
                continue;
            }
            cumulative += choice.weight;
            choices.extend(choice_of(&at, choice, cumulative, ids, &mut parts));
        }
        if choices.is_empty() && parts.broken.is_none() {
            parts.keep::<()>("choices", Err("a route needs at least one choice".to_owned()));
        }
        let mut shadows = Vec::new();
        for (n, shadow) in route.shadows.into_iter().enumerate() {
            shadows.extend(shadow_of(n, shadow, ids, &mut parts));
        }
        let cors = route.cors.and_then(|cors| parts.keep("cors", Cors::compile(&cors)));
        let mut limits = Vec::new();
        for (n, limit) in route.limits.into_iter().enumerate() {
            limits.extend(parts.keep(&format!("limits[{n}]"), RouteLimit::compile(limit)));
        }
        Self {
            name: Arc::from(route.name),
            origin: route.origin,
            path,
            share: if parts.broken.is_some() && cumulative <= 0.0 { 100.0 } else { cumulative },
            choices: choices.into_boxed_slice(),
            shadows: shadows.into_boxed_slice(),
            cors,
            limits: limits.into_boxed_slice(),
            upgrades: route.upgrades.iter().map(|name| name.to_ascii_lowercase().into_boxed_str()).collect(),
            bypass_auth: route.bypass_auth,
            filters: route.filters.into_iter().map(String::into_boxed_str).collect(),
            insecure_exempt: route.insecure_exempt,
            broken: parts.broken,
        }
    }

    /// Numbers of all clusters the route refers to.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = ClusterId> {
        let forwards = self.choices.iter().filter_map(|choice| match &choice.action {
            Action::Forward(forward) => Some(forward.cluster),
            _ => None,
        });
        forwards.chain(self.shadows.iter().map(|shadow| shadow.cluster))
    }
}

impl PathInfo {
    fn new(path: &model::PathMatch) -> Self {
        let matching = match path.kind {
            PathMatchKind::Exact | PathMatchKind::Regex => Matching::Whole,
            PathMatchKind::Prefix => Matching::Prefix(path.value.len()),
            PathMatchKind::SegmentPrefix => {
                Matching::Segments(path.value.strip_suffix('/').unwrap_or(&path.value).len())
            }
        };
        Self { kind: path.kind, value: Box::from(path.value.as_str()), matching }
    }
}

fn choice_of(at: &str, choice: model::Choice, cumulative: f64, ids: &mut Ids, parts: &mut Parts<'_>) -> Option<Choice> {
    let edits = |field: &str, edits, parts: &mut Parts<'_>| {
        let compiled = HeaderEdits::compile(edits);
        let compiled = compiled.map_err(|(path, message)| format!("{path}: {message}"));
        parts.keep(&format!("{at}.{field}"), compiled).unwrap_or_default()
    };
    let request_headers = edits("request_headers", choice.request_headers, parts);
    let response_headers = edits("response_headers", choice.response_headers, parts);
    let action = match (choice.forward, choice.redirect, choice.direct) {
        (Some(forward), None, None) => Action::Forward(forward_of(&format!("{at}.forward"), forward, ids, parts)),
        (None, Some(redirect), None) => Action::Redirect(parts.keep(&format!("{at}.redirect"), redirect_of(redirect))?),
        (None, None, Some(direct)) => Action::Direct(parts.keep(&format!("{at}.direct"), direct_of(direct))?),
        _ => {
            parts.keep::<()>(at, Err("exactly one of forward, redirect and direct must be set".to_owned()));
            return None;
        }
    };
    Some(Choice { weight: choice.weight, cumulative, origin: choice.origin, action, request_headers, response_headers })
}

fn forward_of(at: &str, forward: model::Forward, ids: &mut Ids, parts: &mut Parts<'_>) -> Forward {
    let (cluster, cluster_name) = ids.of(&forward.cluster);
    let path_rewrite = rewrite_of(&format!("{at}.path_rewrite"), forward.path_rewrite.as_ref(), parts);
    let host = match (forward.host_rewrite, forward.auto_host_rewrite) {
        (Some(_), true) => Err("host_rewrite and auto_host_rewrite exclude each other".to_owned()),
        (Some(host), false) => host_of(&host),
        (None, true) => Ok(HostRewrite::Upstream),
        (None, false) => Ok(HostRewrite::Keep),
    };
    Forward {
        cluster,
        cluster_name,
        path_rewrite,
        host_rewrite: parts.keep(&format!("{at}.host_rewrite"), host).unwrap_or(HostRewrite::Keep),
        timeout: (forward.timeout_ms > 0).then(|| Duration::from_millis(forward.timeout_ms)),
        idle_timeout: forward.idle_timeout_ms.map(Duration::from_millis),
    }
}

fn shadow_of(n: usize, shadow: model::Shadow, ids: &mut Ids, parts: &mut Parts<'_>) -> Option<Shadow> {
    let at = format!("shadows[{n}]");
    let (cluster, cluster_name) = ids.of(&shadow.cluster);
    let path_rewrite = rewrite_of(&format!("{at}.path_rewrite"), shadow.path_rewrite.as_ref(), parts);
    let host = shadow.host_rewrite.map_or(Ok(HostRewrite::Keep), |host| host_of(&host));
    let host_rewrite = parts.keep(&format!("{at}.host_rewrite"), host)?;
    Some(Shadow { cluster, cluster_name, percent: shadow.percent, path_rewrite, host_rewrite })
}

fn rewrite_of(at: &str, rewrite: Option<&model::PathRewrite>, parts: &mut Parts<'_>) -> Option<PathRewrite> {
    rewrite.and_then(|rewrite| parts.keep(at, PathRewrite::compile(rewrite)))
}

fn host_of(host: &str) -> Result<HostRewrite, String> {
    authority(host)?;
    Ok(HostRewrite::Literal(Box::from(host.as_bytes())))
}

/// A host with an optional port: nothing that could end a line or start a path.
fn authority(host: &str) -> Result<(), String> {
    let bad = |b: u8| b <= 0x20 || b >= 0x7f || b"/\\?#@\"<>".contains(&b);
    if host.is_empty() || host.bytes().any(bad) { Err(format!("{host:?} is not a host")) } else { Ok(()) }
}

fn redirect_of(redirect: model::Redirect) -> Result<Redirect, String> {
    if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
        return Err(format!("status {} is not a redirect", redirect.status));
    }
    if let Some(scheme) = &redirect.scheme
        && !matches!(scheme.as_str(), "http" | "https")
    {
        return Err(format!("scheme {scheme:?} is neither http nor https"));
    }
    if let Some(host) = &redirect.host {
        authority(host)?;
    }
    let path = match (&redirect.path, &redirect.prefix, &redirect.regex) {
        (None, None, None) => None,
        (Some(path), None, None) => Some(PathRewrite::full(path)?),
        (None, Some(prefix), None) => Some(PathRewrite::prefix(prefix)?),
        (None, None, Some(regex)) => Some(PathRewrite::compile(regex)?),
        _ => return Err("only one of path, prefix and regex may be set".to_owned()),
    };
    Ok(Redirect {
        status: redirect.status,
        scheme: redirect.scheme.map(String::into_boxed_str),
        host: redirect.host.map(String::into_boxed_str),
        port: redirect.port,
        path,
    })
}

fn direct_of(direct: model::DirectResponse) -> Result<DirectResponse, String> {
    if !(200..=599).contains(&direct.status) {
        return Err(format!("status {} cannot be an answer", direct.status));
    }
    let headers = edits::adds(direct.headers).map_err(|(n, message)| format!("headers[{n}]: {message}"))?;
    Ok(DirectResponse { status: direct.status, body: Arc::from(direct.body.into_bytes()), headers })
}
