//! What is done with a request.

use serde::Deserialize;

use super::route::Origin;
use super::yes;

/// One header to add.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValue {
    /// Field name in any case.
    pub name: String,
    /// Field value.
    pub value: String,
    /// Keep existing values of the name.
    #[serde(default = "yes")]
    pub append: bool,
}

/// Removals first, then additions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    /// Added.
    #[serde(default)]
    pub add: Vec<HeaderValue>,
    /// Removed.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// `PathRewrite.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathRewriteKind {
    /// The matched prefix becomes `value`.
    Prefix,
    /// Every match of `pattern` becomes `value`.
    Regex,
    /// The path becomes `value`.
    Full,
}

/// A change of the path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRewrite {
    /// How.
    pub kind: PathRewriteKind,
    /// Replacement.
    pub value: String,
    /// RE2, for `regex`.
    #[serde(default)]
    pub pattern: String,
}

/// `HashSource.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKind {
    /// A cookie.
    Cookie,
    /// A header.
    Header,
    /// The address of the peer.
    SourceAddress,
}

/// What of a request chooses its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashSource {
    /// Which part.
    pub kind: HashKind,
    /// Name of the cookie or header.
    #[serde(default)]
    pub name: String,
    /// Path of a cookie that the gateway sets.
    #[serde(default)]
    pub path: String,
    /// Age of a cookie that the gateway sets; 0 for a session cookie, `None` for none.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
}

fn once() -> u32 {
    1
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Envoy's words.
    pub retry_on: Vec<String>,
    /// Attempts after the first.
    #[serde(default = "once")]
    pub num_retries: u32,
    /// Time for one attempt.
    #[serde(default)]
    pub per_try_timeout_ms: Option<u64>,
}

/// Which circuit breaker counts a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Most requests.
    #[default]
    Default,
    /// Routes that say so.
    High,
}

/// Send to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Name of the cluster.
    pub cluster: String,
    /// Change of the path.
    #[serde(default)]
    pub path_rewrite: Option<PathRewrite>,
    /// Literal upstream host.
    #[serde(default)]
    pub host_rewrite: Option<String>,
    /// Upstream host is the target's name.
    #[serde(default)]
    pub auto_host_rewrite: bool,
    /// Whole request; 0 is off.
    #[serde(default = "Forward::default_timeout")]
    pub timeout_ms: u64,
    /// Silence on the stream; 0 is off.
    #[serde(default)]
    pub idle_timeout_ms: Option<u64>,
    /// What chooses the endpoint.
    #[serde(default)]
    pub hash: Option<HashSource>,
    /// When it is sent again.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// Which circuit breaker counts it.
    #[serde(default)]
    pub priority: Priority,
}

impl Forward {
    fn default_timeout() -> u64 {
        3000
    }
}

/// Answer with a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Status code.
    #[serde(default = "Redirect::default_status")]
    pub status: u16,
    /// Scheme of the target.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Host of the target.
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the target.
    #[serde(default)]
    pub port: Option<u16>,
    /// The whole path.
    #[serde(default)]
    pub path: Option<String>,
    /// Instead of the matched prefix.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Rewrites the path.
    #[serde(default)]
    pub regex: Option<PathRewrite>,
}

impl Redirect {
    fn default_status() -> u16 {
        301
    }
}

/// Answer without an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectResponse {
    /// Status code.
    pub status: u16,
    /// UTF-8 text.
    #[serde(default)]
    pub body: String,
    /// Headers of the answer.
    #[serde(default)]
    pub headers: Vec<HeaderValue>,
}

/// One member of a canary group.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Own share in percent.
    pub weight: f64,
    /// Where it was declared.
    pub origin: Origin,
    /// Action.
    #[serde(default)]
    pub forward: Option<Forward>,
    /// Action.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// Action.
    #[serde(default)]
    pub direct: Option<DirectResponse>,
    /// Edits towards the upstream.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Edits towards the client.
    #[serde(default)]
    pub response_headers: HeaderEdits,
}
