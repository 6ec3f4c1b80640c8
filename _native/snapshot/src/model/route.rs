//! Routes and their policies.

use serde::Deserialize;

use super::action::{Choice, PathRewrite};
use super::matching::{RouteMatch, StringMatch};

/// Where an object was declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Kind of the Kubernetes object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Place inside it.
    #[serde(default)]
    pub path: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", self.path) }
    }
}

fn hundred() -> f64 {
    100.0
}

/// Mirror requests to another cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Name of the cluster.
    pub cluster: String,
    /// Share of the requests.
    #[serde(default = "hundred")]
    pub percent: f64,
    /// Change of the path.
    #[serde(default)]
    pub path_rewrite: Option<PathRewrite>,
    /// Literal upstream host.
    #[serde(default)]
    pub host_rewrite: Option<String>,
}

/// Cross-origin policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Allowed origins.
    pub origins: Vec<StringMatch>,
    /// `Access-Control-Allow-Methods`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// `Access-Control-Allow-Headers`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// `Access-Control-Expose-Headers`.
    #[serde(default)]
    pub exposed_headers: Vec<String>,
    /// `Access-Control-Allow-Credentials`.
    #[serde(default)]
    pub credentials: bool,
    /// `Access-Control-Max-Age`.
    #[serde(default)]
    pub max_age: Option<String>,
}

/// `LimitKey.source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// Constant.
    Generic,
    /// Value of a header.
    Header,
    /// Trusted client address.
    RemoteAddress,
}

/// One part of a bucket key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitKey {
    /// Where the part comes from.
    pub source: LimitSource,
    /// Constant or header name.
    #[serde(default)]
    pub value: String,
    /// Must equal the value, or the limit does not apply.
    #[serde(default)]
    pub expected: Option<String>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteLimit {
    /// Bucket name.
    pub name: String,
    /// Requests per period.
    pub rate: u64,
    /// The period.
    pub period_ms: u64,
    /// Bucket size in requests.
    pub burst: u64,
    /// Key parts.
    #[serde(default)]
    pub keys: Vec<LimitKey>,
    /// Count, do not refuse.
    #[serde(default)]
    pub dry_run: bool,
}

/// `ErrorOverride.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// One template.
    Text,
    /// A JSON object of templates.
    Json,
}

/// Replaces the body of answers with one status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorOverride {
    /// The status.
    pub status: u16,
    /// What `body` is.
    pub format: BodyFormat,
    /// Templates of Envoy's command operators.
    pub body: String,
    /// Empty for that of the format.
    #[serde(default)]
    pub content_type: String,
}

/// Failures that are injected.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Time that a request waits.
    #[serde(default)]
    pub delay_ms: u64,
    /// Share of the requests that wait.
    #[serde(default = "hundred")]
    pub delay_percent: f64,
    /// Status of an answer without an upstream.
    #[serde(default)]
    pub abort_status: Option<u16>,
    /// Share of the requests that get it.
    #[serde(default = "hundred")]
    pub abort_percent: f64,
}

/// The rate of the bodies of answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandwidthLimit {
    /// The rate.
    pub bytes_per_second: u64,
    /// Bytes before it begins.
    #[serde(default)]
    pub after_bytes: u64,
}

/// One entry of a virtual host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Unique in its virtual host.
    pub name: String,
    /// Where it was declared.
    pub origin: Origin,
    /// What it asks.
    #[serde(rename = "match")]
    pub matcher: RouteMatch,
    /// What it does.
    pub choices: Vec<Choice>,
    /// Mirrors.
    #[serde(default)]
    pub shadows: Vec<Shadow>,
    /// Cross-origin policy.
    #[serde(default)]
    pub cors: Option<Cors>,
    /// Rate limits.
    #[serde(default)]
    pub limits: Vec<RouteLimit>,
    /// Allowed `Upgrade` protocols.
    #[serde(default)]
    pub upgrades: Vec<String>,
    /// Skip the authorisation filters.
    #[serde(default)]
    pub bypass_auth: bool,
    /// Filters by name.
    #[serde(default)]
    pub filters: Vec<String>,
    /// Served over cleartext whatever the host says.
    #[serde(default)]
    pub insecure_exempt: bool,
    /// Error bodies instead of those of the options.
    #[serde(default)]
    pub error_overrides: Vec<ErrorOverride>,
    /// Error answers stay as they are.
    #[serde(default)]
    pub bypass_error_overrides: bool,
    /// Failures that are injected.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// Rate of the bodies of answers.
    #[serde(default)]
    pub bandwidth: Option<BandwidthLimit>,
}
