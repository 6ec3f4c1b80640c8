//! What a route does with a request.

use std::sync::Arc;
use std::time::Duration;

use sluice_policy::headers::HeaderAdd;
use sluice_policy::redirect::{PathChange, RedirectError};
use sluice_policy::upstream::Priority;
use sluice_policy::{HeaderEdits, PathRewrite, Redirect, Scheme};
use sluice_route::Pattern;

use crate::attempt::{HashSource, Retry};
use crate::format;
use crate::ids::{ClusterId, Ids};
use crate::model;

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
    /// The name of the target, see `Cluster::host_name`.
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
    /// Longest silence; `None` is the default, zero is off.
    pub idle_timeout: Option<Duration>,
    /// What chooses the endpoint, for a cluster whose balancer hashes.
    pub hash: Option<Box<HashSource>>,
    /// When it is sent again; `None` for the gateway's own rules.
    pub retry: Option<Box<Retry>>,
    /// Which circuit breaker counts it.
    pub priority: Priority,
}

/// Answer without an upstream.
#[derive(Debug)]
pub struct DirectResponse {
    /// Status code.
    pub status: u16,
    /// UTF-8 text.
    pub body: Arc<[u8]>,
    /// Headers.
    pub headers: Vec<HeaderAdd>,
}

impl DirectResponse {
    /// Stands for an action that cannot be compiled: nothing is served rather than half of what was meant.
    pub(crate) fn failure() -> Self {
        Self { status: 500, body: Arc::from(&b""[..]), headers: Vec::new() }
    }

    pub(crate) fn compile(direct: model::DirectResponse) -> Result<Self, String> {
        if !(200..=599).contains(&direct.status) {
            return Err(format!("status {} cannot be an answer", direct.status));
        }
        let headers = edits(&model::HeaderEdits { add: direct.headers, remove: Vec::new() })?.add;
        Ok(Self { status: direct.status, body: Arc::from(direct.body.into_bytes()), headers })
    }
}

impl Forward {
    /// Compiles; the error is (field, message). What is wrong without making the action wrong (the same) is added to
    /// `notes`.
    pub(crate) fn compile(
        forward: &model::Forward,
        ids: &mut Ids,
        notes: &mut Vec<(&'static str, String)>,
    ) -> Result<Self, (&'static str, String)> {
        let (cluster, cluster_name) = ids.of(&forward.cluster);
        let host_rewrite = match (&forward.host_rewrite, forward.auto_host_rewrite) {
            (Some(_), true) => Err("host_rewrite and auto_host_rewrite exclude each other".to_owned()),
            (None, true) => Ok(HostRewrite::Upstream),
            (host, false) => host_rewrite(host.as_deref()),
        }
        .map_err(|message| ("host_rewrite", message))?;
        let path_rewrite =
            forward.path_rewrite.as_ref().map(rewrite).transpose().map_err(|message| ("path_rewrite", message))?;
        let hash = forward.hash.as_ref().and_then(|source| {
            HashSource::compile(source).inspect_err(|message| notes.push(("hash", message.clone()))).ok()
        });
        let retry = forward.retry.as_ref().map(|policy| {
            let (built, unknown) = Retry::compile(policy);
            notes.extend(unknown.iter().map(|word| ("retry.retry_on", format!("{word:?} is not known"))));
            built
        });
        Ok(Self {
            cluster,
            cluster_name,
            path_rewrite,
            host_rewrite,
            timeout: (forward.timeout_ms > 0).then(|| Duration::from_millis(forward.timeout_ms)),
            idle_timeout: forward.idle_timeout_ms.map(Duration::from_millis),
            hash: hash.map(Box::new),
            retry: retry.map(Box::new),
            priority: match forward.priority {
                model::Priority::Default => Priority::Default,
                model::Priority::High => Priority::High,
            },
        })
    }
}

/// Compiles header edits.
pub(crate) fn edits(edits: &model::HeaderEdits) -> Result<HeaderEdits, String> {
    let add = edits.add.iter().map(|header| (header.name.as_str(), header.value.as_str(), header.append));
    HeaderEdits::compile(edits.remove.iter().map(String::as_str), add).map_err(|error| error.to_string())
}

/// Compiles a change of the path.
pub(crate) fn rewrite(rewrite: &model::PathRewrite) -> Result<PathRewrite, String> {
    let built = match rewrite.kind {
        model::PathRewriteKind::Prefix => PathRewrite::prefix(&rewrite.value),
        model::PathRewriteKind::Full => PathRewrite::full(&rewrite.value),
        model::PathRewriteKind::Regex => {
            let pattern = Pattern::partial(&rewrite.pattern).map_err(|error| error.to_string())?;
            PathRewrite::regex_of(pattern.regex().clone(), &rewrite.value)
        }
    };
    built.map_err(|error| error.to_string())
}

/// Compiles a literal upstream host.
pub(crate) fn host_rewrite(host: Option<&str>) -> Result<HostRewrite, String> {
    host.map_or(Ok(HostRewrite::Keep), |host| format::authority(host).map(HostRewrite::Literal))
}

/// Compiles a redirect. The error is (field, message).
pub(crate) fn redirect(redirect: &model::Redirect) -> Result<Redirect, (&'static str, String)> {
    let at = |field: &'static str| move |message: String| (field, message);
    let scheme = redirect.scheme.as_ref().map(|scheme| {
        let parsed = Scheme::parse(scheme.as_bytes());
        parsed.ok_or_else(|| ("scheme", format!("scheme {scheme:?} is neither http nor https")))
    });
    let path = match (&redirect.path, &redirect.prefix, &redirect.regex) {
        (None, None, None) => PathChange::Keep,
        (Some(path), None, None) => PathChange::Full(format::field_value(path).map_err(at("path"))?),
        (None, Some(prefix), None) => {
            let change = PathRewrite::prefix(prefix).map_err(|error| ("prefix", error.to_string()))?;
            PathChange::Rewrite(change)
        }
        (None, None, Some(regex)) => PathChange::Rewrite(rewrite(regex).map_err(at("regex"))?),
        _ => return Err(("path", "only one of path, prefix and regex may be set".to_owned())),
    };
    Redirect::new(redirect.status, scheme.transpose()?, redirect.host.as_deref(), redirect.port, path).map_err(
        |error| {
            let field = match error {
                RedirectError::Status(_) => "status",
                RedirectError::Host(_) => "host",
                RedirectError::Path(_) => "path",
            };
            (field, error.to_string())
        },
    )
}
