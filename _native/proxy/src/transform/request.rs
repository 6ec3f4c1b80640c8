//! What changes about the head of a request.

use sluice_snapshot::Options;

use super::HeadChange;

/// The change of a request's head, if there is one.
pub(crate) fn request_change(options: &Options) -> Option<HeadChange> {
    let hidden = options.compression.as_ref().is_some_and(|compression| compression.remove_accept_encoding_header);
    hidden.then(|| HeadChange { drop: vec!["accept-encoding"], lines: Vec::new() })
}
