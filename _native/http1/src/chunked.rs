//! Reading chunks (RFC 9112 7.1), in place and in whatever pieces the socket yields.

use crate::bytes::{hex_value, is_field_byte};
use crate::trailers::{is_forbidden_trailer, parse_trailer};

/// Hexadecimal digits of a chunk size; more than 16 would not fit 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;
/// Bytes of the extensions of one chunk.
const MAX_EXTENSION: usize = 256;
/// Bytes of all extensions of a body: they carry nothing, and cost the reader what they weigh.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Bytes of a trailer section.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// Lines of a trailer section.
const MAX_TRAILERS: usize = 32;

/// Why a chunked body was refused; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The chunk size is not 1 to 16 hexadecimal digits.
    #[error("invalid chunk size")]
    Size,
    /// A chunk extension has a control byte or is malformed.
    #[error("invalid chunk extension")]
    Extension,
    /// Chunk extensions are above the limit.
    #[error("chunk extensions too large")]
    ExtensionTooLarge,
    /// A line or a chunk does not end in CRLF.
    #[error("invalid line end")]
    LineEnd,
    /// A trailer field is malformed.
    #[error("invalid trailer")]
    Trailer,
    /// The trailer section is above the limit.
    #[error("trailers too large")]
    TrailersTooLarge,
}

impl ChunkError {
    /// The `snake_case` name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "invalid_chunk_size",
            Self::Extension => "invalid_chunk_extension",
            Self::ExtensionTooLarge => "chunk_extension_too_large",
            Self::LineEnd => "invalid_chunk_line_end",
            Self::Trailer => "invalid_trailer",
            Self::TrailersTooLarge => "trailers_too_large",
        }
    }
}

/// What one call of [`ChunkedDecoder::decode`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that were eaten: all of them, unless the body ended before.
    pub consumed: usize,
    /// Bytes of body data, now at the start of the buffer.
    pub data_len: usize,
    /// Whether the body has ended; bytes from `consumed` on belong to the next message.
    pub finished: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    Finished,
    Failed(ChunkError),
}

/// Decodes one chunked body.
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// The chunk size while it is read, then the bytes that are still to come.
    remaining: u64,
    digits: u8,
    extension: usize,
    extensions: usize,
    trailer_bytes: usize,
    trailer_lines: usize,
    line: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the body has ended.
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// The trailer fields, once finished; forbidden ones are left out (RFC 9110 6.5.1).
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Decodes `buf` in place: the data is moved to `buf[..data_len]`, the rest of `buf[..consumed]` is garbage.
    ///
    /// # Errors
    ///
    /// See [`ChunkError`]; every later call repeats the error.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut read = 0;
        let mut write = 0;
        while read < buf.len() && self.state != State::Finished {
            if self.state == State::Data {
                let available = buf.len() - read;
                let take = usize::try_from(self.remaining).map_or(available, |remaining| remaining.min(available));
                if write != read {
                    buf.copy_within(read..read + take, write);
                }
                read += take;
                write += take;
                self.remaining -= take as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let byte = buf[read];
            read += 1;
            match self.step(byte) {
                Ok(state) => self.state = state,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        Ok(Decoded { consumed: read, data_len: write, finished: self.state == State::Finished })
    }

    /// Feeds one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::SizeStart | State::Size => self.size(byte),
            State::Extension => self.extension(byte),
            State::SizeLf if byte == b'\n' && self.remaining == 0 => Ok(State::Trailer),
            State::SizeLf if byte == b'\n' => Ok(State::Data),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::SizeStart),
            State::TrailerLf if byte == b'\n' => self.end_trailer(),
            State::SizeLf | State::DataCr | State::DataLf | State::TrailerLf => Err(ChunkError::LineEnd),
            State::Trailer => self.trailer(byte),
            State::Data | State::Finished => Ok(self.state),
            State::Failed(error) => Err(error),
        }
    }

    /// No white space is permitted behind the size: RFC 9112 7.1.1 tolerates it in front of `;`, smugglers use it.
    fn size(&mut self, byte: u8) -> Result<State, ChunkError> {
        if self.state == State::SizeStart {
            self.remaining = 0;
            self.digits = 0;
        }
        if let Some(value) = hex_value(byte) {
            if self.digits >= MAX_SIZE_DIGITS {
                return Err(ChunkError::Size);
            }
            self.digits += 1;
            self.remaining = (self.remaining << 4) | u64::from(value);
            return Ok(State::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(ChunkError::Size),
            b'\r' => Ok(State::SizeLf),
            b';' => {
                self.extension = 0;
                self.extension(byte)
            }
            b'\n' => Err(ChunkError::LineEnd),
            _ => Err(ChunkError::Size),
        }
    }

    fn extension(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b'\r' => return Ok(State::SizeLf),
            b'\n' => return Err(ChunkError::LineEnd),
            byte if !is_field_byte(byte) => return Err(ChunkError::Extension),
            _ => {}
        }
        self.extension += 1;
        self.extensions += 1;
        if self.extension > MAX_EXTENSION || self.extensions > MAX_EXTENSIONS {
            return Err(ChunkError::ExtensionTooLarge);
        }
        Ok(State::Extension)
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b'\r' => return Ok(State::TrailerLf),
            b'\n' => return Err(ChunkError::LineEnd),
            byte if !is_field_byte(byte) => return Err(ChunkError::Trailer),
            _ => {}
        }
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(ChunkError::TrailersTooLarge);
        }
        self.line.push(byte);
        Ok(State::Trailer)
    }

    fn end_trailer(&mut self) -> Result<State, ChunkError> {
        if self.line.is_empty() {
            return Ok(State::Finished);
        }
        self.trailer_lines += 1;
        if self.trailer_lines > MAX_TRAILERS {
            return Err(ChunkError::TrailersTooLarge);
        }
        let (name, value) = parse_trailer(&self.line).ok_or(ChunkError::Trailer)?;
        if !is_forbidden_trailer(name) {
            self.trailers.push((name.to_vec(), value.to_vec()));
        }
        self.line.clear();
        Ok(State::Trailer)
    }
}
