//! Comparisons.

use serde::Deserialize;

/// `StringMatch.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StringMatchKind {
    /// The whole value.
    Exact,
    /// Its start.
    Prefix,
    /// Its end.
    Suffix,
    /// RE2 over the whole value.
    Regex,
    /// Any value.
    Present,
}

/// How one string is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StringMatch {
    /// How.
    pub kind: StringMatchKind,
    /// With what.
    #[serde(default)]
    pub value: String,
    /// ASCII letters without case.
    #[serde(default)]
    pub ignore_case: bool,
}

/// `PathMatch.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatchKind {
    /// The whole path.
    Exact,
    /// Plain string prefix.
    Prefix,
    /// Prefix of whole segments.
    SegmentPrefix,
    /// RE2 over the whole path.
    Regex,
}

/// Comparison of the normalised path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathMatch {
    /// How.
    pub kind: PathMatchKind,
    /// With what.
    pub value: String,
    /// ASCII letters without case.
    #[serde(default)]
    pub ignore_case: bool,
}

/// Comparison of a header or a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedMatch {
    /// The name.
    pub name: String,
    /// The comparison.
    #[serde(rename = "match")]
    pub value: StringMatch,
    /// Must not hold.
    #[serde(default)]
    pub invert: bool,
}

/// All parts must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// The path.
    pub path: PathMatch,
    /// The method.
    #[serde(default)]
    pub method: Option<StringMatch>,
    /// The normalised host.
    #[serde(default)]
    pub authority: Option<StringMatch>,
    /// Headers.
    #[serde(default)]
    pub headers: Vec<NamedMatch>,
    /// Query parameters.
    #[serde(default)]
    pub query: Vec<NamedMatch>,
}
