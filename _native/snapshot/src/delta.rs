//! The wire form of a delta.

use serde::Deserialize;
use serde_json::value::RawValue;

/// See `ARCHITECTURE.md`, "The delta".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delta<'a> {
    /// The version this delta leads to.
    pub(crate) version: u64,
    /// The version it starts from; `None` for a full snapshot.
    #[serde(default)]
    pub(crate) base: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) upsert: Vec<Upsert<'a>>,
    #[serde(default)]
    pub(crate) remove: Vec<String>,
}

/// A section to set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upsert<'a> {
    /// `family/name`.
    pub(crate) key: String,
    /// Row in shared memory.
    #[serde(default)]
    pub(crate) slot: u32,
    /// Read only once the family is known, so that one bad section does not spoil the others.
    #[serde(borrow)]
    pub(crate) body: &'a RawValue,
}
