//! Policies of a route: cross-origin requests and rate limits.

use std::sync::Arc;
use std::time::Duration;

use sluice_route::StringPredicate;

pub use crate::model::LimitSource;
use crate::{edits, matching, model};

/// A cross-origin policy, its answers joined and ready to copy.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Every origin is allowed.
    pub any_origin: bool,
    /// Origins that are allowed.
    pub origins: Box<[StringPredicate]>,
    /// `Access-Control-Allow-Methods`, empty for none.
    pub methods: Box<[u8]>,
    /// `Access-Control-Allow-Headers`, empty for none.
    pub headers: Box<[u8]>,
    /// `Access-Control-Expose-Headers`, empty for none.
    pub exposed_headers: Box<[u8]>,
    /// `Access-Control-Allow-Credentials: true`.
    pub credentials: bool,
    /// `Access-Control-Max-Age`.
    pub max_age: Option<Box<[u8]>>,
}

impl Cors {
    pub(crate) fn compile(cors: &model::Cors) -> Result<Self, String> {
        let star = |origin: &model::StringMatch| {
            origin.kind == model::StringMatchKind::Present
                || (origin.kind == model::StringMatchKind::Exact && origin.value == "*")
        };
        let origins = cors.origins.iter().filter(|origin| !star(origin)).map(|origin| {
            StringPredicate::compile(&matching::string(origin.clone())).map_err(|error| error.to_string())
        });
        let join = |values: &[String]| edits::field_value(&values.join(", "));
        Ok(Self {
            any_origin: cors.origins.iter().any(star),
            origins: origins.collect::<Result<_, _>>()?,
            methods: join(&cors.methods)?,
            headers: join(&cors.headers)?,
            exposed_headers: join(&cors.exposed_headers)?,
            credentials: cors.credentials,
            max_age: cors.max_age.as_deref().map(edits::field_value).transpose()?,
        })
    }

    /// Whether a request from `origin` is allowed.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.any_origin || self.origins.iter().any(|predicate| predicate.holds(origin))
    }
}

/// One part of a bucket key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitKey {
    /// Where the part comes from.
    pub source: LimitSource,
    /// The constant, or the lower-case header name.
    pub value: Box<[u8]>,
    /// Must equal the value, or the limit does not apply.
    pub expected: Option<Box<[u8]>>,
}

/// A local rate limit; `rate`, `period` and `burst` are not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// Bucket name: with the key values it identifies the bucket.
    pub name: Arc<str>,
    /// Requests per period.
    pub rate: u64,
    /// The period.
    pub period: Duration,
    /// Bucket size in requests.
    pub burst: u64,
    /// Key parts.
    pub keys: Box<[LimitKey]>,
    /// Count, do not refuse.
    pub dry_run: bool,
}

impl RouteLimit {
    pub(crate) fn compile(limit: model::RouteLimit) -> Result<Self, String> {
        if limit.rate == 0 || limit.period_ms == 0 || limit.burst == 0 {
            return Err(format!("limit {:?} needs a rate, a period and a burst above zero", limit.name));
        }
        let key = |key: model::LimitKey| {
            let value = match key.source {
                LimitSource::Header => edits::lower(&key.value)?,
                _ => key.value.into_bytes().into_boxed_slice(),
            };
            let expected = key.expected.map(|text| text.into_bytes().into_boxed_slice());
            Ok::<_, String>(LimitKey { source: key.source, value, expected })
        };
        Ok(Self {
            name: Arc::from(limit.name),
            rate: limit.rate,
            period: Duration::from_millis(limit.period_ms),
            burst: limit.burst,
            keys: limit.keys.into_iter().map(key).collect::<Result<_, _>>()?,
            dry_run: limit.dry_run,
        })
    }
}
