//! What can be wrong with a route.

/// A regular expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is not a regular expression of RE2.
    #[error("regex {}, at offset {offset}: {reason}", quoted(pattern))]
    Syntax {
        /// The whole text.
        pattern: String,
        /// Bytes before the offending place.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The compiled program would be larger than the limit.
    #[error("regex {} is larger than {limit} bytes when compiled", quoted(pattern))]
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

/// The text as its author wrote it, backslashes included; only what a terminal would act on is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('"');
    out
}
