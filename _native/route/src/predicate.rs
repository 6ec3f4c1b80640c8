//! Compiled comparisons: everything a route asks besides the place of its path in the tree.

use crate::error::{PatternError, RouteError};
use crate::matcher::{NamedMatcher, RouteMatcher, StringMatcher, StringMatcherKind};
use crate::pattern::Pattern;
use crate::query;
use crate::request::Request;

/// A compiled [`StringMatcher`].
#[derive(Clone, Debug)]
pub enum StringPredicate {
    /// The whole value equals.
    Exact(Box<[u8]>),
    /// The whole value equals, ASCII letters without case.
    ExactFold(Box<[u8]>),
    /// The value starts with it.
    Prefix(Box<[u8]>),
    /// The value starts with it, ASCII letters without case.
    PrefixFold(Box<[u8]>),
    /// The value ends with it.
    Suffix(Box<[u8]>),
    /// The value ends with it, ASCII letters without case.
    SuffixFold(Box<[u8]>),
    /// The expression matches the whole value.
    Regex(Pattern),
    /// Any value.
    Present,
}

impl StringPredicate {
    /// Compiles a comparison; only a regular expression can fail.
    pub fn compile(matcher: &StringMatcher) -> Result<Self, PatternError> {
        let bytes = || Box::from(matcher.value.as_bytes());
        Ok(match (matcher.kind, matcher.ignore_case) {
            (StringMatcherKind::Exact, false) => Self::Exact(bytes()),
            (StringMatcherKind::Exact, true) => Self::ExactFold(bytes()),
            (StringMatcherKind::Prefix, false) => Self::Prefix(bytes()),
            (StringMatcherKind::Prefix, true) => Self::PrefixFold(bytes()),
            (StringMatcherKind::Suffix, false) => Self::Suffix(bytes()),
            (StringMatcherKind::Suffix, true) => Self::SuffixFold(bytes()),
            (StringMatcherKind::Regex, fold) => Self::Regex(Pattern::full(&matcher.value, fold)?),
            (StringMatcherKind::Present, _) => Self::Present,
        })
    }

    /// Whether `value` passes.
    pub fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(want) => value == want.as_ref(),
            Self::ExactFold(want) => value.eq_ignore_ascii_case(want),
            Self::Prefix(want) => value.starts_with(want),
            Self::PrefixFold(want) => value.get(..want.len()).is_some_and(|head| head.eq_ignore_ascii_case(want)),
            Self::Suffix(want) => value.ends_with(want),
            Self::SuffixFold(want) => value
                .len()
                .checked_sub(want.len())
                .and_then(|at| value.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(want)),
            Self::Regex(pattern) => pattern.is_match(value),
            Self::Present => true,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct NamedPredicate {
    name: Box<[u8]>,
    value: StringPredicate,
    invert: bool,
}

/// What is left to check for a route once the tree has found it by its path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Predicates {
    pub(crate) path: Option<Pattern>,
    method: Option<StringPredicate>,
    authority: Option<StringPredicate>,
    headers: Box<[NamedPredicate]>,
    query: Box<[NamedPredicate]>,
}

impl Predicates {
    /// Compiles all parts of a route but its path; the first part that fails is reported.
    pub(crate) fn compile(index: usize, route: &RouteMatcher) -> Result<Self, RouteError> {
        let at = |field: String| move |error: PatternError| RouteError { index, field, message: error.to_string() };
        let single = |field: &str, matcher: &Option<StringMatcher>| {
            matcher.as_ref().map(StringPredicate::compile).transpose().map_err(at(field.to_owned()))
        };
        let named = |field: &str, matchers: &[NamedMatcher], lower: bool| {
            let compile = |(n, matcher): (usize, &NamedMatcher)| {
                let name = if lower { matcher.name.to_ascii_lowercase() } else { matcher.name.clone() };
                let value = StringPredicate::compile(&matcher.value).map_err(at(format!("{field}[{n}]")))?;
                Ok(NamedPredicate { name: name.into_bytes().into_boxed_slice(), value, invert: matcher.invert })
            };
            matchers.iter().enumerate().map(compile).collect::<Result<Box<[_]>, RouteError>>()
        };
        Ok(Self {
            path: None,
            method: single("method", &route.method)?,
            authority: single("authority", &route.authority)?,
            headers: named("headers", &route.headers, true)?,
            query: named("query", &route.query, false)?,
        })
    }

    /// True when the path alone decides.
    pub(crate) fn is_plain(&self) -> bool {
        self.path.is_none()
            && self.method.is_none()
            && self.authority.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
    }

    /// Cheap comparisons first.
    pub(crate) fn hold(&self, request: &Request<'_>) -> bool {
        self.method.as_ref().is_none_or(|p| p.holds(request.method))
            && self.authority.as_ref().is_none_or(|p| p.holds(request.host))
            && self.headers.iter().all(|p| request.headers.any(&p.name, &mut |value| p.value.holds(value)) != p.invert)
            && self.query.iter().all(|p| {
                let value = request.query.and_then(|query| query::first(query, &p.name));
                value.is_some_and(|value| p.value.holds(&value)) != p.invert
            })
            && self.path.as_ref().is_none_or(|p| p.is_match(request.path))
    }
}
