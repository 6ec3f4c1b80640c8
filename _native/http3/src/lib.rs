//! A strict codec of HTTP/3 (RFC 9114) that never touches a socket: frames, settings, field sections (RFC 9204).
//!
//! # Decisions
//!
//! * **Nothing is collected that has no limit.** The reader of frames keeps 16 bytes of state, whatever length a frame
//!   announces; who collects a payload knows its length before the first byte and refuses what is too long.
//! * **No dynamic table.** The gateway announces a capacity of 0 (the default, RFC 9204 section 5) and uses none itself:
//!   no stream ever waits for another one, and no client decides how much memory its fields take.
//! * **Field lines come out as they are on the wire**, in order and with duplicates, so that whoever builds a message
//!   from them sees what RFC 9114 section 4.1.2 calls malformed.

#![forbid(unsafe_code)]

mod code;
mod frame;
mod huffman;
mod prefixed;
mod qpack;
mod settings;
mod static_table;
pub mod varint;

pub use code::Code;
pub use frame::{FrameHeader, FrameReader, MAX_HEADER, kind, uni_stream, write_frame_header, write_goaway};
pub use qpack::{DecodeError, Field, FieldReader, begin_section, write_field};
pub use settings::{Settings, write_settings};
