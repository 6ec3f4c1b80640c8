//! Findings of the compiler.

/// A delta that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not the JSON of a delta.
    #[error("the delta is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// The delta was made for another version.
    #[error("the delta is for base {wanted}, but the current version is {}", current.map_or_else(|| "none".to_owned(), |v| v.to_string()))]
    Base {
        /// Version the delta was made for.
        wanted: u64,
        /// Version it is applied to.
        current: Option<u64>,
    },
}

/// A part of the configuration that could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    /// Section key, such as `virtual_host/main`.
    pub section: String,
    /// Field path in the section, such as `routes[3].match.headers[0]`; empty for the section as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// Findings of one section, its key still to be added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<(String, String)>);

impl Findings {
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push((path.into(), message.into()));
    }
}
