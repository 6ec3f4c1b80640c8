//! A compiled route.

use std::sync::Arc;

use sluice_policy::{Cors, HeaderEdits, PathRewrite};
use smallvec::{SmallVec, smallvec};

use crate::action::{self, Action, DirectResponse, Forward, HostRewrite};
use crate::error::Findings;
use crate::errorbody::{ErrorOverride, ErrorOverrides};
use crate::ids::{ClusterId, Ids};
use crate::model::{self, Origin, PathMatchKind};
use crate::options::Options;
use crate::policy::{self, RouteLimit};
use crate::shaping::{BandwidthLimit, Fault};

/// The path comparison of a route, for rewrites and for explaining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// How the path is compared.
    pub kind: PathMatchKind,
    /// What it is compared with, as declared.
    pub value: Box<str>,
}

/// One entry of a virtual host. Requests jump between thousands of these, so what most of them read lies together and
/// what few need lies behind a pointer.
#[derive(Debug)]
pub struct Route {
    /// Unique in its virtual host.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Box<Origin>,
    /// The path comparison.
    pub path: PathInfo,
    /// Canary group, never empty; [`Choice::cumulative`] ascends. What is missing to 100 falls through to the next route.
    pub choices: SmallVec<[Choice; 1]>,
    /// Mirrors.
    pub shadows: Box<[Shadow]>,
    /// Cross-origin policy.
    pub cors: Option<Box<Cors>>,
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
    /// Error bodies of its own; `None` for those of the options. See [`Route::error_override`].
    pub error_overrides: Option<Box<ErrorOverrides>>,
    /// Error answers stay as they are.
    pub bypass_error_overrides: bool,
    /// Failures that are injected.
    pub fault: Option<Box<Fault>>,
    /// Rate of the bodies of answers.
    pub bandwidth: Option<Box<BandwidthLimit>>,
    /// Why the route must answer 500 instead of doing half of what it was told; `None` for a sound route. For logs,
    /// not for clients.
    pub broken: Option<Box<str>>,
}

/// One member of a canary group.
#[derive(Debug)]
pub struct Choice {
    /// Own share in percent.
    pub weight: f64,
    /// Sum of the shares up to and including this one.
    pub cumulative: f64,
    /// Where it was declared.
    pub origin: Box<Origin>,
    /// What it does.
    pub action: Action,
    /// Edits towards the upstream.
    pub request_headers: HeaderEdits,
    /// Edits towards the client.
    pub response_headers: HeaderEdits,
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

    /// As [`Parts::keep`], for a part that names the field that is wrong.
    fn keep_part<T>(&mut self, path: &str, result: Result<T, (&'static str, String)>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err((field, message)) => self.keep(&format!("{path}.{field}"), Err(message)),
        }
    }
}

impl Route {
    /// Compiles everything but the match, which the route table has. A bad part breaks the route and is reported.
    pub(crate) fn compile(index: usize, route: model::Route, ids: &mut Ids, findings: &mut Findings) -> Self {
        let mut parts = Parts { at: format!("routes[{index}]"), broken: None, findings };
        let choices = choices(route.choices, &route.origin, ids, &mut parts);
        let mut shadows = Vec::new();
        for (n, shadow) in route.shadows.iter().enumerate() {
            shadows.extend(parts.keep(&format!("shadows[{n}]"), Shadow::compile(shadow, ids)));
        }
        let cors = route.cors.and_then(|cors| parts.keep("cors", policy::cors(&cors)));
        let own = &route.error_overrides;
        let at = format!("{}.error_overrides", parts.at);
        let error_overrides = (!own.is_empty()).then(|| ErrorOverrides::compile(own, &at, parts.findings));
        let fault = route.fault.and_then(|fault| parts.keep_part("fault", Fault::compile(&fault)));
        let bandwidth = route.bandwidth.and_then(|limit| parts.keep_part("bandwidth", BandwidthLimit::compile(&limit)));
        let mut limits = Vec::new();
        for (n, limit) in route.limits.into_iter().enumerate() {
            limits.extend(parts.keep(&format!("limits[{n}]"), RouteLimit::compile(limit)));
        }
        Self {
            name: Arc::from(route.name),
            origin: Box::new(route.origin),
            path: PathInfo { kind: route.matcher.path.kind, value: route.matcher.path.value.into_boxed_str() },
            choices,
            shadows: shadows.into_boxed_slice(),
            cors: cors.map(Box::new),
            limits: limits.into_boxed_slice(),
            upgrades: route.upgrades.iter().map(|name| name.to_ascii_lowercase().into_boxed_str()).collect(),
            bypass_auth: route.bypass_auth,
            filters: route.filters.into_iter().map(String::into_boxed_str).collect(),
            insecure_exempt: route.insecure_exempt,
            error_overrides: error_overrides.map(Box::new),
            bypass_error_overrides: route.bypass_error_overrides,
            fault: fault.map(Box::new),
            bandwidth: bandwidth.map(Box::new),
            broken: parts.broken.map(String::into_boxed_str),
        }
    }

    /// What replaces the body of an answer with this status, if anything does.
    pub fn error_override<'o>(&'o self, options: &'o Options, status: u16) -> Option<&'o ErrorOverride> {
        if self.bypass_error_overrides {
            return None;
        }
        self.error_overrides.as_deref().unwrap_or(&options.error_overrides).get(status)
    }

    /// Sum of the shares of all choices in percent.
    pub fn share(&self) -> f64 {
        self.choices.last().map_or(0.0, |choice| choice.cumulative)
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
    /// How many bytes of a path that matches are the matched prefix. Exact and regex matches match all of it (Envoy
    /// replaces the whole path for both); a segment prefix does not count its trailing slash.
    pub fn matched(&self, path: &[u8]) -> usize {
        match self.kind {
            PathMatchKind::Exact | PathMatchKind::Regex => path.len(),
            PathMatchKind::Prefix => self.value.len(),
            PathMatchKind::SegmentPrefix => self.value.strip_suffix('/').unwrap_or(&self.value).len(),
        }
    }
}

impl Shadow {
    fn compile(shadow: &model::Shadow, ids: &mut Ids) -> Result<Self, String> {
        let (cluster, cluster_name) = ids.of(&shadow.cluster);
        Ok(Self {
            cluster,
            cluster_name,
            percent: shadow.percent,
            path_rewrite: shadow.path_rewrite.as_ref().map(action::rewrite).transpose()?,
            host_rewrite: action::host_rewrite(shadow.host_rewrite.as_deref())?,
        })
    }
}

fn choices(models: Vec<model::Choice>, origin: &Origin, ids: &mut Ids, parts: &mut Parts<'_>) -> SmallVec<[Choice; 1]> {
    let mut choices = SmallVec::with_capacity(models.len());
    let mut cumulative = 0.0;
    for (n, model) in models.into_iter().enumerate() {
        let at = format!("choices[{n}]");
        let weight = if (0.0..=100.0).contains(&model.weight) { Ok(model.weight) } else { Err(model.weight) };
        let weight = weight.map_err(|weight| format!("weight {weight} is not between 0 and 100"));
        // An unknown share must not fall through to another route.
        let weight = parts.keep(&at, weight).unwrap_or(100.0);
        cumulative += weight;
        let action = action_of(&at, model.forward, model.redirect, model.direct, ids, parts);
        let request = parts.keep(&format!("{at}.request_headers"), action::edits(&model.request_headers));
        let response = parts.keep(&format!("{at}.response_headers"), action::edits(&model.response_headers));
        choices.push(Choice {
            weight,
            cumulative,
            origin: Box::new(model.origin),
            action: action.unwrap_or_else(|| Action::Direct(DirectResponse::failure())),
            request_headers: request.unwrap_or_default(),
            response_headers: response.unwrap_or_default(),
        });
    }
    if choices.is_empty() {
        parts.keep::<()>("choices", Err("a route needs at least one choice".to_owned()));
        choices = smallvec![Choice {
            weight: 100.0,
            cumulative: 100.0,
            origin: Box::new(origin.clone()),
            action: Action::Direct(DirectResponse::failure()),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
        }];
    }
    choices
}

fn action_of(
    at: &str,
    forward: Option<model::Forward>,
    redirect: Option<model::Redirect>,
    direct: Option<model::DirectResponse>,
    ids: &mut Ids,
    parts: &mut Parts<'_>,
) -> Option<Action> {
    match (forward, redirect, direct) {
        (Some(forward), None, None) => {
            let mut notes = Vec::new();
            let built = Forward::compile(&forward, ids, &mut notes);
            for (field, message) in notes {
                parts.findings.add(format!("{}.{at}.forward.{field}", parts.at), message);
            }
            parts.keep_part(&format!("{at}.forward"), built).map(Action::Forward)
        }
        (None, Some(redirect), None) => {
            parts.keep_part(&format!("{at}.redirect"), action::redirect(&redirect)).map(Action::Redirect)
        }
        (None, None, Some(direct)) => {
            parts.keep(&format!("{at}.direct"), DirectResponse::compile(direct)).map(Action::Direct)
        }
        _ => parts.keep(at, Err("exactly one of forward, redirect and direct must be set".to_owned())),
    }
}
