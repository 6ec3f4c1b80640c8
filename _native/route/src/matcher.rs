//! The input of the compiler: what a route asks of a request.

/// How one string is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringMatcherKind {
    /// The whole value equals.
    Exact,
    /// The value starts with it.
    Prefix,
    /// The value ends with it.
    Suffix,
    /// A regular expression matches the whole value (RE2 syntax, linear time).
    Regex,
    /// Any value will do, the empty one too.
    Present,
}

/// A comparison of one string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringMatcher {
    /// How `value` is compared.
    pub kind: StringMatcherKind,
    /// What is compared with; ignored for [`StringMatcherKind::Present`].
    pub value: String,
    /// ASCII letters compare without case.
    pub ignore_case: bool,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMatcherKind {
    /// The whole path equals.
    Exact,
    /// Plain string prefix: `/man` matches `/mankind`.
    Prefix,
    /// Kubernetes `pathType: Prefix`: `/foo` and `/foo/` match `/foo`, `/foo/` and `/foo/bar`, not `/foobar`.
    SegmentPrefix,
    /// A regular expression matches the whole path.
    Regex,
}

/// A comparison of the normalised path, without its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMatcher {
    /// How `value` is compared.
    pub kind: PathMatcherKind,
    /// What is compared with.
    pub value: String,
    /// ASCII letters compare without case.
    pub ignore_case: bool,
}

/// A comparison of a named thing: a header or a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMatcher {
    /// Header names are compared without case, parameter names with it.
    pub name: String,
    /// The comparison of the value.
    pub value: StringMatcher,
    /// The comparison must *not* hold; so an inverted comparison holds for an absent name.
    pub invert: bool,
}

/// What one route asks; all parts must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatcher {
    /// The path.
    pub path: PathMatcher,
    /// The request method.
    pub method: Option<StringMatcher>,
    /// The normalised host: no port, lower case.
    pub authority: Option<StringMatcher>,
    /// Header comparisons; one of several values of a name suffices.
    pub headers: Vec<NamedMatcher>,
    /// Query comparisons; the first of several values of a name counts (as Envoy and Gateway API).
    pub query: Vec<NamedMatcher>,
}

impl StringMatcher {
    /// A case-sensitive comparison.
    pub fn new(kind: StringMatcherKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into(), ignore_case: false }
    }
}

impl PathMatcher {
    /// A case-sensitive comparison.
    pub fn new(kind: PathMatcherKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into(), ignore_case: false }
    }

    /// The string that a segment prefix compares: one trailing slash does not count.
    pub(crate) fn key(&self) -> &str {
        match self.kind {
            PathMatcherKind::SegmentPrefix => self.value.strip_suffix('/').unwrap_or(&self.value),
            _ => &self.value,
        }
    }
}

impl RouteMatcher {
    /// A route that asks for nothing but its path.
    pub fn path(path: PathMatcher) -> Self {
        Self { path, method: None, authority: None, headers: Vec::new(), query: Vec::new() }
    }
}
