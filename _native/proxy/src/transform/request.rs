//! What changes about the head of a request.

use sluice_http1::RequestHead;
use sluice_snapshot::Options;

use super::{Bridge, HeadChange, grpc};

/// The change of a request's head, if there is one.
pub(crate) fn request_change(
    options: &Options,
    bridge: Bridge,
    head: &RequestHead,
    bytes: &[u8],
) -> Option<HeadChange> {
    let hidden = options.compression.as_ref().is_some_and(|compression| compression.remove_accept_encoding_header);
    if !hidden && bridge == Bridge::None {
        return None;
    }
    let mut change = HeadChange::default();
    if hidden {
        change.drop.push("accept-encoding");
    }
    if bridge != Bridge::None && !head.te_trailers() {
        // Servers of gRPC refuse a client that does not take trailers: this one does.
        crate::response_head::header(&mut change.lines, b"te", b"trailers");
    }
    if let Bridge::Web { .. } = bridge {
        let kind = head.header(bytes, b"content-type").unwrap_or_default();
        let prefixes = ["application/grpc-web-text", "application/grpc-web"];
        let suffix = prefixes.into_iter().find_map(|prefix| grpc::suffix(kind, prefix)).unwrap_or_default();
        change.set("content-type", &[b"application/grpc", suffix].concat());
        if head.header(bytes, b"grpc-accept-encoding").is_none() {
            crate::response_head::header(&mut change.lines, b"grpc-accept-encoding", b"identity");
        }
    }
    Some(change)
}
