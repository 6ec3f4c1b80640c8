//! What of a request chooses its endpoint, and when it is sent again.

use std::time::Duration;

use sluice_policy::upstream::{RetryOn, RetryPolicy};

use crate::format;
use crate::model::{self, HashKind};

/// What of a request chooses its endpoint; what is absent chooses at random. Keys are made by
/// `sluice_policy::upstream::hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashSource {
    /// The value of a cookie, which is set if it is absent and `set` says how.
    Cookie {
        /// Its name, in the case written.
        name: Box<[u8]>,
        /// How the gateway sets it.
        set: Option<SetCookie>,
    },
    /// The value of a header, in lower case.
    Header(Box<[u8]>),
    /// The address of the connection's peer, without the port.
    SourceAddress,
}

/// A cookie that the gateway sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    /// Its path; empty for none.
    pub path: Box<[u8]>,
    /// Its age in seconds; `None` for a session cookie.
    pub max_age_s: Option<u64>,
}

impl HashSource {
    pub(crate) fn compile(source: &model::HashSource) -> Result<Self, String> {
        match source.kind {
            HashKind::SourceAddress => Ok(Self::SourceAddress),
            HashKind::Header => format::lower(&source.name).map(Self::Header),
            HashKind::Cookie => {
                // A cookie name is a token (RFC 6265, section 4.1.1).
                format::lower(&source.name).map_err(|_| format!("{:?} is not the name of a cookie", source.name))?;
                let bad = |b: u8| !(0x20..0x7f).contains(&b) || b == b';';
                if source.path.bytes().any(bad) {
                    return Err(format!("{:?} is not the path of a cookie", source.path));
                }
                let set = source.ttl_ms.map(|ttl| SetCookie {
                    path: Box::from(source.path.as_bytes()),
                    max_age_s: (ttl > 0).then(|| ttl.div_ceil(1000)),
                });
                Ok(Self::Cookie { name: Box::from(source.name.as_bytes()), set })
            }
        }
    }
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// On what, and how often.
    pub policy: RetryPolicy,
    /// Time for one attempt.
    pub per_try_timeout: Option<Duration>,
}

impl Retry {
    /// Words that are not known are left out and returned.
    pub(crate) fn compile(policy: &model::RetryPolicy) -> (Self, Vec<String>) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            policy.retry_on.iter().map(String::as_str).partition(|word| word.parse::<RetryOn>().is_ok());
        let on = known.join(",").parse().unwrap_or_default();
        let per_try_timeout = policy.per_try_timeout_ms.filter(|&ms| ms > 0).map(Duration::from_millis);
        let policy = RetryPolicy { on, num_retries: policy.num_retries, status_codes: Box::default() };
        (Self { policy, per_try_timeout }, unknown.into_iter().map(str::to_owned).collect())
    }
}
