//! A strict HTTP/1.1 codec that never touches a socket, and the one place where a request is normalised.
//!
//! Everything that decides about a request (routing, authorisation, logs) and the upstream must see the same bytes.
//! [`parse_request`] therefore yields the *normal* path and host once, next to spans of the raw bytes, and refuses
//! what two parsers could read in two ways. The field lines are scanned by `httparse`; what that crate tolerates
//! (bare LF, empty lines, duplicates) is refused here.
//!
//! # Decisions
//!
//! * **Escapes in a path.** `%XX` of an unreserved character is decoded, every other escape stays encoded with upper
//!   case digits, for matching and for forwarding, and nothing is ever decoded twice (`%252e` stays `%252e`).
//!   `%00` and overlong UTF-8 (`%C0%AF`) are always refused. `%2F` and `%5C` follow [`EscapedSlashes`]. `%25`, `%3B`,
//!   `%23` and `%3F` are kept: refusing them by default broke legitimate clients of other gateways, and an escape
//!   that stays an escape cannot be mistaken for the delimiter. A dot segment next to a *kept* escaped slash
//!   (`..%2Fadmin`) is refused, since an upstream that decodes it would climb.
//! * **Path parameters.** `;` follows [`PathParameters`]. Dot segments that carry parameters (`/..;/admin`) are
//!   refused always: servlet containers strip the parameter and climb.
//! * **Queries** are forwarded as they are; only raw controls, spaces, non-ASCII bytes and `#` are refused.
//! * **Leading zeros** in `Content-Length` are refused, so a value that is forwarded has one reading.
//! * **Line ends** are CRLF, in requests and responses. One CRLF before a request line is tolerated (RFC 9112 2.2).
//! * **`h2c`** is never offered to the caller: the request is answered over HTTP/1.1 (RFC 9110 7.8 permits this).
//!
//! After any error the connection has lost its framing and must be closed (RFC 9112 9.3 and 11.2).

#![forbid(unsafe_code)]

mod bytes;
mod chunk_writer;
mod chunked;
mod connection;
mod digits;
mod fields;
mod framing;
mod host;
mod kind;
mod method;
mod path;
mod policy;
mod reason;
mod request;
mod request_line;
mod request_parse;
mod response;
mod segments;
mod span;
mod status_line;
mod target;
mod text;
mod trailers;

pub use chunk_writer::{LAST_CHUNK, chunk_header};
pub use chunked::{ChunkError, ChunkedDecoder, Decoded};
pub use digits::parse_digits;
pub use fields::{HeaderEntry, MAX_HEADERS};
pub use framing::{Framing, ResponseFraming};
pub use host::{HostParts, normalize_host};
pub use kind::HeaderKind;
pub use method::{Method, Version};
pub use path::normalize_path;
pub use policy::{EscapedSlashes, HeadLimits, NormalizePolicy, PathParameters, Underscores};
pub use reason::{RejectReason, RequestError, ResponseError};
pub use request::RequestHead;
pub use request_parse::parse_request;
pub use response::{ResponseHead, parse_response};
pub use span::Span;
pub use trailers::is_forbidden_trailer;
