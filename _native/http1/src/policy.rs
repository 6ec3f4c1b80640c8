//! What a listener accepts: sizes and normalisation.

/// Bounds of a message head, in bytes and field lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first byte to the end of the empty line; more is 431.
    pub max_head_bytes: usize,
    /// Field lines; more is 431. Values above [`crate::MAX_HEADERS`] count as that.
    pub max_headers: usize,
    /// Bytes of the request target; more is 414.
    pub max_target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_head_bytes: 60 * 1024, max_headers: 100, max_target_bytes: 16 * 1024 }
    }
}

/// What happens to `%2F` and `%5C` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// The request is refused with 400.
    #[default]
    Reject,
    /// They stay encoded, for matching and for forwarding.
    Keep,
}

/// What happens to `;` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathParameters {
    /// The request is refused with 400.
    Reject,
    /// It is a path character like any other; matrix parameters are in wide use.
    #[default]
    Keep,
}

/// What happens to field names with `_`, which CGI-like upstreams cannot tell from names with `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They are forwarded.
    Allow,
    /// The request is refused with 400.
    #[default]
    Reject,
    /// The field is marked as dropped; the request goes on.
    Drop,
}

/// How requests of a listener are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormalizePolicy {
    /// Whether `//` becomes `/`; without it empty segments are kept as they are.
    pub merge_slashes: bool,
    /// Escaped slashes and backslashes in the path.
    pub escaped_slashes: EscapedSlashes,
    /// `;` in the path.
    pub path_parameters: PathParameters,
    /// `_` in field names.
    pub underscores: Underscores,
    /// Whether HTTP/1.0 requests are served; otherwise they get 505.
    pub enable_http10: bool,
}

impl Default for NormalizePolicy {
    fn default() -> Self {
        Self {
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::Reject,
            path_parameters: PathParameters::Keep,
            underscores: Underscores::Reject,
            enable_http10: true,
        }
    }
}
