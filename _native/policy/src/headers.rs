//! Edits of request and response headers, compiled from names and value templates.
//!
//! Source: Emissary `add_request_headers`, `remove_request_headers` and their response forms; Envoy, "Custom
//! request/response headers". An operator that means nothing here is kept as it was written.

use crate::escape::{MAX_VALUE, Style};
pub use crate::facts::RequestFacts as EditContext;
use crate::format::{self, Operator, Piece};
use crate::token::{is_field_value, is_token};
use std::borrow::Cow;
use thiserror::Error;

/// Fields that say how a message is framed, where it goes, or what the connection does with it (RFC 9110 section 7.6.1,
/// RFC 9112 section 6). Only the gateway may write them.
const PROTECTED: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why an edit cannot be compiled.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HeaderEditError {
    /// Not a token.
    #[error("{0:?} is not a header name")]
    Name(String),
    /// A pseudo header, Host, or a header of the framing.
    #[error("the header {0:?} cannot be edited: it belongs to the framing or the routing of the message")]
    Protected(String),
    /// Control characters, or space at an end.
    #[error("the value of header {0:?} has characters that a header value cannot have")]
    Value(String),
}

/// One header to write.
#[derive(Debug, Clone)]
pub struct HeaderAdd {
    name: Box<[u8]>,
    /// Keep existing values of the same name; otherwise they are removed before this one is written.
    pub append: bool,
    value: Template,
}

#[derive(Debug, Clone)]
enum Template {
    Constant(Box<[u8]>),
    Pieces(Vec<Piece>),
}

/// Compiled edits. Removals are applied first, then additions in order.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    /// Names to remove, lower case.
    pub remove: Vec<Box<[u8]>>,
    /// Headers to write.
    pub add: Vec<HeaderAdd>,
}

impl HeaderEdits {
    /// Compile removals (names) and additions (name, value, append).
    pub fn compile<'e>(
        remove: impl IntoIterator<Item = &'e str>,
        add: impl IntoIterator<Item = (&'e str, &'e str, bool)>,
    ) -> Result<Self, HeaderEditError> {
        let remove = remove.into_iter().map(name).collect::<Result<_, _>>()?;
        let add =
            add.into_iter().map(|(key, value, append)| HeaderAdd::new(key, value, append)).collect::<Result<_, _>>()?;
        Ok(Self { remove, add })
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }

    /// Whether the header `name` (in any case) of the message goes: it is removed, or replaced by an addition.
    #[must_use]
    pub fn removes(&self, name: &[u8]) -> bool {
        self.remove.iter().any(|removed| removed.eq_ignore_ascii_case(name))
            || self.add.iter().any(|added| !added.append && added.name.eq_ignore_ascii_case(name))
    }

    /// Append the lines of the additions, `name: value` and a line break each.
    pub fn append_added(&self, out: &mut Vec<u8>, request: &EditContext<'_>) {
        for added in self.additions() {
            out.extend_from_slice(&added.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(&added.value(request));
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The additions in force: one that replaces cancels those of the same name before it.
    pub fn additions(&self) -> impl Iterator<Item = &HeaderAdd> {
        self.add.iter().enumerate().filter_map(|(at, added)| {
            let replaced = self.add[at + 1..].iter().any(|later| !later.append && later.name == added.name);
            (!replaced).then_some(added)
        })
    }
}

impl HeaderAdd {
    fn new(key: &str, value: &str, append: bool) -> Result<Self, HeaderEditError> {
        let name = name(key)?;
        if !is_field_value(value.as_bytes()) {
            return Err(HeaderEditError::Value(key.to_owned()));
        }
        let pieces: Vec<Piece> = format::parse(value).into_iter().map(known_here).collect();
        let constant = pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
        let value = if constant { Template::Constant(text(&pieces).into()) } else { Template::Pieces(pieces) };
        Ok(Self { name, append, value })
    }

    /// The name in lower case.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value for a request. Operators without a value write nothing (Envoy: an absent header is empty), and bytes
    /// that a field value cannot have are left out, so the result is always a field value.
    #[must_use]
    pub fn value(&self, request: &EditContext<'_>) -> Cow<'_, [u8]> {
        let pieces = match &self.value {
            Template::Constant(value) => return Cow::Borrowed(value),
            Template::Pieces(pieces) => pieces,
        };
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Literal(text) | Piece::Unknown(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Operator(operator, max, _) => {
                    if let Some(value) = request.value(operator) {
                        value.write(&mut out, max.unwrap_or(MAX_VALUE), Style::Field);
                    }
                }
            }
        }
        Cow::Owned(out.trim_ascii().to_vec())
    }
}

fn name(name: &str) -> Result<Box<[u8]>, HeaderEditError> {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(':') || PROTECTED.contains(&lower.as_str()) {
        return Err(HeaderEditError::Protected(name.to_owned()));
    }
    if !is_token(lower.as_bytes()) {
        return Err(HeaderEditError::Name(name.to_owned()));
    }
    Ok(lower.into_bytes().into())
}

/// Operators about the answer are not known while the request is edited.
fn known_here(piece: Piece) -> Piece {
    match piece {
        Piece::Operator(
            Operator::Request(..)
            | Operator::StartTime(_)
            | Operator::Protocol
            | Operator::RemoteAddress
            | Operator::RemoteAddressWithoutPort
            | Operator::DirectAddressWithoutPort,
            ..,
        ) => piece,
        Piece::Operator(_, _, written) | Piece::Unknown(written) | Piece::Literal(written) => Piece::Literal(written),
    }
}

fn text(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        if let Piece::Literal(text) = piece {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}
