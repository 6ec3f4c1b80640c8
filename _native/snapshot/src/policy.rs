//! Policies of a route: cross-origin requests and rate limits.

use std::sync::Arc;

use sluice_policy::{Cors, OriginRule, Rate};
use sluice_route::StringPredicate;

pub use crate::model::LimitSource;
use crate::model::{self, StringMatchKind};
use crate::{format, matching};

/// Compiles a cross-origin policy.
pub(crate) fn cors(cors: &model::Cors) -> Result<Cors, String> {
    let origins = cors.origins.iter().map(origin).collect::<Result<_, _>>()?;
    let (methods, headers, exposed) = (texts(&cors.methods), texts(&cors.headers), texts(&cors.exposed_headers));
    Cors::new(origins, methods, headers, exposed, cors.credentials, cors.max_age.as_deref())
        .map_err(|error| error.to_string())
}

fn texts(values: &[String]) -> impl Iterator<Item = &str> {
    values.iter().map(String::as_str)
}

fn origin(origin: &model::StringMatch) -> Result<OriginRule, String> {
    match origin.kind {
        StringMatchKind::Exact if !origin.ignore_case => {
            OriginRule::parse(&origin.value).map_err(|error| error.to_string())
        }
        StringMatchKind::Present => Ok(OriginRule::Any),
        _ => {
            // One dialect of regular expressions for the whole configuration: the route table's.
            let compiled = StringPredicate::compile(&matching::string(origin.clone()));
            let predicate = compiled.map_err(|error| error.to_string())?;
            Ok(OriginRule::Predicate(Arc::new(move |origin| predicate.holds(origin))))
        }
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

/// A local rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// Bucket name: with the key values it identifies the bucket.
    pub name: Arc<str>,
    /// Its numbers, none of them zero.
    pub rate: Rate,
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
                LimitSource::Header => format::lower(&key.value)?,
                _ => key.value.into_bytes().into_boxed_slice(),
            };
            let expected = key.expected.map(|text| text.into_bytes().into_boxed_slice());
            Ok::<_, String>(LimitKey { source: key.source, value, expected })
        };
        Ok(Self {
            name: Arc::from(limit.name),
            rate: Rate::new(limit.rate, limit.period_ms.saturating_mul(1_000_000), limit.burst),
            keys: limit.keys.into_iter().map(key).collect::<Result<_, _>>()?,
            dry_run: limit.dry_run,
        })
    }
}
