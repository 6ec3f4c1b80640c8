//! Compressing the bodies of answers: which ones, and with what.
//!
//! Source: Envoy's compressor filter for which answers are left alone, and for the fields that change; RFC 9110
//! sections 8.4 and 12.5.

use std::io::Write;

use brotli::CompressorWriter;
use sluice_http1::{RequestHead, ResponseFraming, ResponseHead, Version};
use sluice_policy::content_coding::{Coding, Negotiated, negotiate};
use sluice_snapshot::Compression;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};
use zstd::stream::raw::{CParameter, Encoder as Zstd, InBuffer, Operation, OutBuffer};

use super::{HeadChange, Transform};
use crate::body::Trailers;

/// Window of brotli as a power of two. Envoy's 18 takes 1.1 MB for each answer instead of 0.7 and saves nothing where
/// every piece is flushed.
const BROTLI_WINDOW: u32 = 16;
/// Window of zstd as a power of two. Its own choice for a stream, 21, takes two megabytes for each answer.
const ZSTD_WINDOW: u32 = 17;
/// Room that is made for output at once, in bytes.
const ROOM: usize = 16 * 1024;
const FAILED: &str = "its body cannot be compressed";

/// What compression means for an answer.
pub(crate) struct Decision {
    /// What holds for the head in either case.
    pub(crate) change: HeadChange,
    /// The coding that fits; `None` leaves the body as it is.
    pub(crate) coding: Option<Coding>,
}

/// Judges an answer. `None`: compression has nothing to say about it.
pub(crate) fn decide(
    options: &Compression,
    (request, request_bytes): (&RequestHead, &[u8]),
    (head, bytes): (&ResponseHead, &[u8]),
) -> Option<Decision> {
    if !is_compressible(options, head, bytes) {
        return None;
    }
    let mut change = HeadChange::default();
    // A cache must know that there are several forms of it, whichever this one is.
    if !values(head, bytes, "vary").any(|value| lists(value, b"accept-encoding") || lists(value, b"*")) {
        crate::response_head::header(&mut change.lines, b"vary", b"Accept-Encoding");
    }
    let accepted = request
        .headers
        .iter()
        .filter(|entry| entry.name.of(request_bytes).eq_ignore_ascii_case(b"accept-encoding"))
        .map(|entry| entry.value.of(request_bytes));
    let coding = match negotiate(&accepted, &options.codings) {
        // Only chunks and frames say where a body of unknown length ends.
        Negotiated::Coding(coding) if request.version == Version::Http11 && head.framing != ResponseFraming::None => {
            coding
        }
        _ => return Some(Decision { change, coding: None }),
    };
    Some(Decision { change, coding: Some(coding) })
}

/// Says in the head that the body is compressed.
pub(crate) fn mark(change: &mut HeadChange, coding: Coding, head: &ResponseHead, bytes: &[u8]) {
    crate::response_head::header(&mut change.lines, b"content-encoding", coding.name().as_bytes());
    // Ranges would be of another representation. A strong tag says that bytes are equal, and they are not.
    change.drop.push("accept-ranges");
    if values(head, bytes, "etag").any(|tag| !tag.starts_with(b"W/") && !tag.starts_with(b"w/")) {
        change.drop.push("etag");
    }
}

fn is_compressible(options: &Compression, head: &ResponseHead, bytes: &[u8]) -> bool {
    let has = |name| values(head, bytes, name).next().is_some();
    let large = match head.framing {
        ResponseFraming::Length(length) => length > 0 && length >= options.min_content_length,
        _ => true,
    };
    let mut types = values(head, bytes, "content-type");
    let taken = types.next().is_some_and(|kind| options.takes(kind) && !super::grpc::is_grpc(kind));
    // What vouches for the bytes (RFC 9530) must not outlive them.
    let vouched = ["content-md5", "digest", "content-digest", "repr-digest"].into_iter().any(has);
    large
        && taken
        && !vouched
        && !matches!(head.status, 0..=199 | 204 | 205 | 206 | 304)
        && !has("content-range")
        && !has("content-encoding")
        && !(options.disable_on_etag_header && has("etag"))
        && !values(head, bytes, "cache-control").any(|value| lists(value, b"no-transform"))
}

/// The values of a field that reaches the client.
fn values<'h>(head: &'h ResponseHead, bytes: &'h [u8], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    let named = move |entry: &&sluice_http1::HeaderEntry| {
        !entry.drop && entry.name.of(bytes).eq_ignore_ascii_case(name.as_bytes())
    };
    head.headers.iter().filter(named).map(|entry| entry.value.of(bytes))
}

/// Whether a list has this member, whatever its case.
fn lists(value: &[u8], member: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(member))
}

/// Compresses one body.
pub(crate) enum Encoder {
    Gzip(Deflate),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(Zstd<'static>),
}

impl Encoder {
    /// `None` if there is no memory for it.
    pub(crate) fn new(coding: Coding, options: &Compression) -> Option<Self> {
        // The level is zlib's. Its default, 6, is the default of the others, 3.
        let level = i32::from(options.level);
        let halved = (level + 1) / 2;
        Some(match coding {
            Coding::Gzip => Self::Gzip(Deflate::new_with_config(DeflateConfig {
                // 16 more asks for the form of gzip.
                window_bits: i32::from(options.window_bits) + 16,
                mem_level: i32::from(options.memory_level),
                ..DeflateConfig::new(level)
            })),
            Coding::Brotli => {
                let writer = CompressorWriter::new(Vec::new(), ROOM, halved.unsigned_abs(), BROTLI_WINDOW);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = Zstd::new(halved).ok()?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW)).ok()?;
                Self::Zstd(encoder)
            }
        })
    }
}

impl Transform for Encoder {
    fn piece(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Self::Gzip(stream) => deflate(stream, data, DeflateFlush::SyncFlush, out),
            Self::Brotli(writer) => {
                writer.write_all(data).and_then(|()| writer.flush()).map_err(|_| FAILED)?;
                out.append(writer.get_mut());
                Ok(())
            }
            Self::Zstd(encoder) => {
                let mut input = InBuffer::around(data);
                while input.pos < data.len() {
                    with_room(out, |room| encoder.run(&mut input, room)).map_err(|_| FAILED)?;
                }
                while with_room(out, |room| encoder.flush(room)).map_err(|_| FAILED)? > 0 {}
                Ok(())
            }
        }
    }

    fn end(&mut self, _: &mut Trailers, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Self::Gzip(stream) => deflate(stream, b"", DeflateFlush::Finish, out),
            Self::Brotli(writer) => {
                let spent = CompressorWriter::new(Vec::new(), 1, 0, 10);
                out.append(&mut std::mem::replace(&mut **writer, spent).into_inner());
                Ok(())
            }
            Self::Zstd(encoder) => {
                while with_room(out, |room| encoder.finish(room, true)).map_err(|_| FAILED)? > 0 {}
                Ok(())
            }
        }
    }
}

fn with_room<R>(out: &mut Vec<u8>, work: impl FnOnce(&mut OutBuffer<'_, [u8]>) -> R) -> R {
    let start = out.len();
    out.resize(start + ROOM, 0);
    let mut room = OutBuffer::around(&mut out[start..]);
    let result = work(&mut room);
    let written = room.pos();
    out.truncate(start + written);
    result
}

fn deflate(stream: &mut Deflate, mut data: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) -> Result<(), &'static str> {
    loop {
        let start = out.len();
        out.resize(start + ROOM, 0);
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream.compress(data, &mut out[start..], flush).map_err(|_| FAILED)?;
        data = data.get(usize::try_from(stream.total_in() - read).unwrap_or(usize::MAX)..).unwrap_or_default();
        let written = usize::try_from(stream.total_out() - written).unwrap_or(usize::MAX).min(ROOM);
        out.truncate(start + written);
        if status == Status::StreamEnd || (data.is_empty() && written < ROOM) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use sluice_http1::{HeadLimits, Method, NormalizePolicy, parse_request, parse_response};

    use super::*;

    fn options() -> Compression {
        let delta = r#"{"version": 1, "base": null, "remove": [],
            "upsert": [{"key": "options/main", "slot": 0, "body": {"gzip": {}}}]}"#;
        let compiled = sluice_snapshot::Compiled::apply(None, delta.as_bytes()).unwrap();
        Compression::clone(compiled.options.compression.as_ref().unwrap())
    }

    fn read(coding: Coding, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => {
                out.resize(1 << 20, 0);
                let mut inflate = zlib_rs::Inflate::new(true, 15 + 16);
                inflate.decompress(data, &mut out, zlib_rs::InflateFlush::NoFlush).unwrap();
                out.truncate(usize::try_from(inflate.total_out()).unwrap());
            }
            // Both tell of an end that is missing after they have given everything that is there.
            Coding::Brotli => drop(brotli::Decompressor::new(data, 4096).read_to_end(&mut out)),
            Coding::Zstd => drop(zstd::stream::read::Decoder::new(data).unwrap().read_to_end(&mut out)),
        }
        out
    }

    /// An event must reach its reader before the next one happens.
    #[test]
    fn each_piece_can_be_read_before_the_next_one_comes() {
        for coding in Coding::PREFERENCE {
            let (mut encoder, mut out) = (Encoder::new(coding, &options()).unwrap(), Vec::new());
            let mut expected = Vec::new();
            for round in 0..5 {
                let piece = format!("data: event number {round}\n\n");
                encoder.piece(piece.as_bytes(), &mut out).unwrap();
                expected.extend_from_slice(piece.as_bytes());
                assert_eq!(read(coding, &out), expected, "{coding:?} {round}");
            }
            encoder.end(&mut Vec::new(), &mut out).unwrap();
            assert_eq!(read(coding, &out), expected, "{coding:?}");
        }
    }

    #[test]
    fn sizes_around_the_buffers() {
        // Noise does not shrink, so that the output is larger than the room made for it.
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(200_000)
        .collect();
        for coding in Coding::PREFERENCE {
            for size in [0, 1, ROOM - 1, ROOM, ROOM + 1, 200_000] {
                let (mut encoder, mut out) = (Encoder::new(coding, &options()).unwrap(), Vec::new());
                for piece in noise[..size].chunks(65_536) {
                    encoder.piece(piece, &mut out).unwrap();
                }
                encoder.end(&mut Vec::new(), &mut out).unwrap();
                assert!(read(coding, &out) == noise[..size], "{coding:?} {size}");
            }
        }
    }

    fn judge(request: &str, answer: &str) -> Option<(Option<Coding>, String, Vec<&'static str>)> {
        let (limits, policy) = (HeadLimits::default(), NormalizePolicy::default());
        let request = format!("GET / {request}Host: h\r\n\r\n");
        let answer = format!("HTTP/1.1 {answer}\r\n");
        let (mut asked, mut head) = (RequestHead::default(), ResponseHead::default());
        parse_request(request.as_bytes(), &limits, &policy, &mut asked).unwrap().unwrap();
        parse_response(answer.as_bytes(), &limits, Method::Get, &mut head).unwrap().unwrap();
        let Decision { mut change, coding } =
            decide(&options(), (&asked, request.as_bytes()), (&head, answer.as_bytes()))?;
        if let Some(coding) = coding {
            mark(&mut change, coding, &head, answer.as_bytes());
        }
        Some((coding, String::from_utf8(change.lines).unwrap(), change.drop))
    }

    const PLAIN: &str = "200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 30\r\n";

    #[test]
    fn answers_that_are_compressed() {
        let (coding, lines, drop) = judge("HTTP/1.1\r\nAccept-Encoding: gzip, br;q=0.5\r\n", PLAIN).unwrap();
        assert_eq!(coding, Some(Coding::Gzip));
        assert_eq!(lines, "vary: Accept-Encoding\r\ncontent-encoding: gzip\r\n");
        assert_eq!(drop, ["accept-ranges"]);
        let tagged = format!("{PLAIN}ETag: \"a\"\r\nVary: Origin, accept-encoding\r\n");
        let (_, lines, drop) = judge("HTTP/1.1\r\nAccept-Encoding: gzip\r\n", &tagged).unwrap();
        assert_eq!((&*lines, &*drop), ("content-encoding: gzip\r\n", &["accept-ranges", "etag"][..]));
        let weak = format!("{PLAIN}ETag: W/\"a\"\r\n");
        assert_eq!(judge("HTTP/1.1\r\nAccept-Encoding: gzip\r\n", &weak).unwrap().2, ["accept-ranges"]);
    }

    #[test]
    fn answers_that_only_vary() {
        for request in
            ["HTTP/1.1\r\n", "HTTP/1.1\r\nAccept-Encoding: gzip;q=0\r\n", "HTTP/1.0\r\nAccept-Encoding: gzip\r\n"]
        {
            let (coding, lines, drop) = judge(request, PLAIN).unwrap();
            assert_eq!((coding, &*lines, drop.len()), (None, "vary: Accept-Encoding\r\n", 0), "{request}");
        }
    }

    #[test]
    fn answers_that_are_left_alone() {
        for change in [
            "Content-Encoding: identity\r\n",
            "Cache-Control: public, No-Transform\r\n",
            "Content-Range: bytes 0-29/30\r\n",
            "Repr-Digest: sha-256=:AAAA:\r\n",
        ] {
            assert!(judge("HTTP/1.1\r\nAccept-Encoding: gzip\r\n", &format!("{PLAIN}{change}")).is_none(), "{change}");
        }
        for answer in [
            PLAIN.replace("30", "29"),
            PLAIN.replace("text/plain", "image/png"),
            PLAIN.replace("text/plain", "application/grpc"),
            PLAIN.replace("200", "206"),
            "200 OK\r\nContent-Length: 30\r\n".to_owned(),
        ] {
            assert!(judge("HTTP/1.1\r\nAccept-Encoding: gzip\r\n", &answer).is_none(), "{answer}");
        }
    }
}
