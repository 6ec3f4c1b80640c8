//! Which origins an entry of a cross-origin policy allows.

use crate::cors::CorsError;
use regex::Regex;
use std::fmt;
use std::sync::Arc;

/// Greatest size of a compiled origin pattern in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// Whether an origin is allowed.
pub type Predicate = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Which origins an entry of the policy allows.
#[derive(Clone)]
pub enum OriginRule {
    /// `*`: every origin but `null`.
    Any,
    /// This origin.
    Exact(Box<str>),
    /// Origins that start so.
    Prefix(Box<str>),
    /// Origins that end so.
    Suffix(Box<str>),
    /// Origins with something in between: `https://*.example.com`. The part for `*` has no `/`.
    Glob(Box<str>, Box<str>),
    /// Origins that the pattern matches as a whole.
    Regex(Regex),
    /// Origins that a predicate compiled elsewhere holds for.
    Predicate(Arc<Predicate>),
}

impl fmt::Debug for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => write!(f, "{origin:?}"),
            Self::Prefix(start) => write!(f, "{start:?}.."),
            Self::Suffix(end) => write!(f, "..{end:?}"),
            Self::Glob(start, end) => write!(f, "{start:?}..{end:?}"),
            Self::Regex(regex) => write!(f, "/{regex}/"),
            Self::Predicate(_) => f.write_str("predicate"),
        }
    }
}

impl OriginRule {
    /// An entry as Emissary writes it: `*`, an origin, or an origin with one `*` in it. An origin is compared exactly:
    /// browsers send scheme and host in lower case (RFC 6454 section 6.2).
    pub fn parse(text: &str) -> Result<Self, CorsError> {
        match text.split_once('*') {
            None => Ok(Self::Exact(text.into())),
            Some(("", "")) => Ok(Self::Any),
            Some((_, end)) if end.contains('*') => Err(CorsError::Glob(text.to_owned())),
            Some((start, end)) => Ok(Self::Glob(start.into(), end.into())),
        }
    }

    /// Origins that a pattern matches as a whole.
    pub fn regex(pattern: &str, ignore_case: bool) -> Result<Self, CorsError> {
        let whole = format!("^(?:{pattern})$");
        let regex = regex::RegexBuilder::new(&whole)
            .case_insensitive(ignore_case)
            .size_limit(REGEX_SIZE)
            .build()
            .map_err(Box::new)?;
        Ok(Self::Regex(regex))
    }

    /// Whether an origin, as the Origin header names it, is allowed.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Exact(value) => **value == *origin,
            _ if origin == "null" => false,
            Self::Any => true,
            Self::Prefix(value) => origin.starts_with(&**value),
            Self::Suffix(value) => origin.ends_with(&**value),
            Self::Glob(start, end) => origin
                .strip_prefix(&**start)
                .and_then(|rest| rest.strip_suffix(&**end))
                .is_some_and(|label| !label.is_empty() && !label.contains('/')),
            Self::Regex(regex) => regex.is_match(origin),
            Self::Predicate(holds) => holds(origin.as_bytes()),
        }
    }
}
