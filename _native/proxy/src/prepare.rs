//! The request as it goes upstream: built once, sent as often as an attempt needs it.

use bytes::Bytes;
use sluice_http1::{Framing, Method, Underscores};
use sluice_snapshot::{Choice, Forward, HostRewrite, Protocol, Route};

use crate::hold::Whole;
use crate::relay::{RelayError, Sink, Source, append};
use crate::request::{Request, joined};
use crate::request_head::{BodyHeader, UpstreamHead};
use crate::transform::{Bridge, Decoder, Transform, request_change};

/// The request as it goes upstream, ready to be sent again.
pub(crate) struct Prepared {
    /// Head and the part of the body that came with it.
    pub(crate) out: Vec<u8>,
    /// The rest of the body.
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    /// Body bytes of the connection's inbox that `out` contains.
    pub(crate) taken: usize,
    /// Bytes behind the body that are already in the inbox.
    pub(crate) complete: bool,
    /// The part of the body that came with the head, where `out` is the head alone.
    pub(crate) early: Bytes,
    pub(crate) special: Option<Special>,
}

/// A body that does not go from one connection to the other as it comes.
pub(crate) enum Special {
    /// It is there as a whole.
    Held(Box<Whole>),
    /// It is base64 for an upstream that wants what it stands for.
    Text(Box<Decoder>),
}

impl Prepared {
    /// The body, where it is there as a whole and sent while the answer may already come.
    pub(crate) fn held(&self) -> Option<&Whole> {
        match &self.special {
            Some(Special::Held(whole)) => Some(whole),
            _ => None,
        }
    }

    /// It can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        self.complete || self.held().is_some()
    }
}

impl Request<'_> {
    /// RFC 9110 section 9.2.2.
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.head.method, Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options)
    }

    /// The protocol to switch to. Towards HTTP/2 endpoints nothing is switched, and a request with a body is a plain one
    /// (RFC 9110 section 7.8 lets a server ignore the wish): what follows its head would be body and tunnel at once.
    pub(crate) fn allowed_upgrade(&self, route: &Route, forward: &Forward) -> Option<&[u8]> {
        if self.head.framing != Framing::None {
            return None;
        }
        if self.compiled.cluster(forward.cluster).is_some_and(|cluster| cluster.protocol == Protocol::Http2) {
            return None;
        }
        let asked = self.head.upgrade.as_ref()?.of(self.bytes);
        route.upgrades.iter().any(|allowed| asked.eq_ignore_ascii_case(allowed.as_bytes())).then_some(asked)
    }

    /// Trailers follow the rules of headers: the listener's for underscores, and nothing that the route, a filter or
    /// the gateway itself decides about.
    pub(crate) fn trailer_passes(&self, choice: &Choice, name: &[u8]) -> bool {
        let filtered = self.filtered.borrow();
        let named = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let aliased = name.contains(&b'_') && self.compiled.options.normalize.underscores != Underscores::Allow;
        let decided = choice.request_headers.removes(name)
            || choice.request_headers.additions().any(|added| name.eq_ignore_ascii_case(added.name()))
            || filtered.remove.iter().any(|other| named(other))
            || filtered.set.iter().any(|(other, _)| named(other));
        !aliased && !decided && self.client.forwards(name)
    }

    pub(crate) fn prepare(
        &self,
        choice: &Choice,
        forward: &Forward,
        target: &[u8],
        upgrade: Option<&[u8]>,
        bridge: Bridge,
        whole: Option<Box<Whole>>,
    ) -> Result<Prepared, RelayError> {
        let shared = &self.connection.shared;
        let options = &self.compiled.options;
        let headers = self.view();
        let original = self.head.path(self.bytes);
        let changed = (original != target).then_some(original);
        let full = joined(target, self.head.query(self.bytes));
        let facts = self.facts(&full, changed, &headers);
        let cluster = self.compiled.cluster(forward.cluster);
        let cluster_host = cluster.and_then(|cluster| cluster.host_name());
        let protocol = cluster.map(|cluster| cluster.protocol);
        let host: &[u8] = match &forward.host_rewrite {
            HostRewrite::Keep => self.authority(),
            HostRewrite::Literal(host) => host,
            HostRewrite::Upstream => cluster_host.map_or(self.authority(), str::as_bytes),
        };
        let filtered = self.filtered.borrow();
        let change = request_change(options, bridge, self.head, self.bytes);
        let body = match (&whole, self.head.framing) {
            (Some(whole), _) => whole.header(),
            (None, Framing::None) => BodyHeader::None,
            (None, Framing::Length(length)) if !bridge.decodes() => BodyHeader::Length(length),
            (None, Framing::Length(_) | Framing::Chunked) => BodyHeader::Chunked,
        };
        let head = UpstreamHead {
            head: self.head,
            bytes: self.bytes,
            head_len: self.head_len,
            path: target,
            original_path: changed,
            host,
            client: &self.client,
            peer: self.connection.peer.ip(),
            append_peer: options.trust.use_remote_address,
            request_id: &self.request_id,
            timeout_ms: forward.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            suppress_envoy: options.suppress_envoy_headers,
            body,
            upgrade,
            edits: &choice.request_headers,
            edit_facts: &facts,
            filter_remove: &filtered.remove,
            filter_set: &filtered.set,
            change: change.as_ref(),
            case: &options.header_case,
        };
        let mut out = shared.scratch.out();
        head.write(&mut out);
        let sink = if body == BodyHeader::Chunked { Sink::Chunked } else { Sink::Identity };
        let mut prepared = Prepared {
            out,
            source: Source::Empty,
            sink,
            taken: 0,
            complete: false,
            early: Bytes::new(),
            special: None,
        };
        if let Some(whole) = whole {
            prepared.taken = whole.taken;
            prepared.special = Some(Special::Held(whole));
            return Ok(prepared);
        }
        let framed = self.connection.client.in_frames();
        if bridge.decodes() && self.head.framing != Framing::None {
            return self.prepare_text(prepared, framed, protocol == Some(Protocol::Http2));
        }
        if framed {
            // Its body comes in frames of its own, none of it with the head.
            prepared.complete = self.head.framing == Framing::None;
            return Ok(prepared);
        }
        let Prepared { mut out, .. } = prepared;
        let mut source = self.source();
        let present = self.bytes.get(self.head_len..).unwrap_or_default();
        if protocol == Some(Protocol::Http2) {
            let mut first = present.to_vec();
            let piece = source.decode(&mut first)?;
            first.truncate(piece.data);
            // A chunked body that came whole still has its trailers to be sent.
            let complete = piece.finished && source.trailers().next().is_none();
            self.record.received.set(piece.used as u64);
            let early = Bytes::from(first);
            return Ok(Prepared { out, source, sink, taken: piece.used, complete, early, special: None });
        }
        let (taken, complete) = match &mut source {
            Source::Empty => (0, true),
            Source::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(present.len());
                out.extend_from_slice(&present[..taken]);
                *left -= taken as u64;
                (taken, *left == 0)
            }
            _ => {
                let mut first = present.to_vec();
                let piece = source.decode(&mut first)?;
                append(sink, &first[..piece.data], &mut out);
                if piece.finished {
                    source.write_end(&|name| self.trailer_passes(choice, name), &mut out);
                    source = Source::Empty;
                }
                (piece.used, piece.finished)
            }
        };
        self.record.received.set(taken as u64);
        Ok(Prepared { out, source, sink, taken, complete, early: Bytes::new(), special: None })
    }

    /// A request whose body is base64. `framed`: none of it came with the head.
    fn prepare_text(&self, mut prepared: Prepared, framed: bool, http2: bool) -> Result<Prepared, RelayError> {
        let mut decoder = Box::<Decoder>::default();
        if !framed {
            let mut source = self.source();
            let mut first = self.bytes.get(self.head_len..).unwrap_or_default().to_vec();
            let piece = source.decode(&mut first)?;
            let mut data = Vec::new();
            decoder.piece(&first[..piece.data], &mut data).map_err(RelayError::Framing)?;
            prepared.complete = piece.finished && source.trailers().next().is_none();
            if prepared.complete {
                decoder.end(&mut Vec::new(), &mut data).map_err(RelayError::Framing)?;
            }
            prepared.taken = piece.used;
            self.record.received.set(piece.used as u64);
            prepared.source = source;
            if http2 {
                prepared.early = Bytes::from(data);
            } else {
                append(prepared.sink, &data, &mut prepared.out);
                if prepared.complete {
                    Source::Empty.write_end(&|_| false, &mut prepared.out);
                }
            }
        }
        prepared.special = Some(Special::Text(decoder));
        Ok(prepared)
    }
}
