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
