//! What can be wrong with a route.

/// A regular expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is not a regular expression of RE2.
    #[error("regex {pattern:?}, at offset {offset}: {reason}")]
    Syntax {
        /// The whole text.
        pattern: String,
        /// Bytes before the offending place.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The compiled program would be larger than the limit.
    #[error("regex {pattern:?} is larger than {limit} bytes when compiled")]
    TooLarge {
        /// The whole text.
        pattern: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A route that was left out of its table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {index}, {field}: {message}")]
pub struct RouteError {
    /// Position in the list given to the compiler.
    pub index: usize,
    /// The offending part, as a path: `path`, `headers[2]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}
