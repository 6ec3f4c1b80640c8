//! Heads between field sections and the text of HTTP/1.1.

use sluice_http1::RejectReason;
use sluice_http3::{Code, FieldReader, begin_section, write_field};
use sluice_policy::token::{is_field_value, is_token};

use super::frames::Broken;
use crate::heads::{self, Untranslatable, first_line, is_connection_specific, line, lines};

/// What a field costs besides its bytes (RFC 9114 section 4.2.2).
const FIELD_COST: u64 = 32;

/// Names and values behind a body.
pub(super) type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

/// Why a head is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It cannot be decoded: the connection must end.
    Connection(Broken),
    /// The message is malformed (RFC 9114 section 4.1.2) or too large.
    Message(RejectReason),
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Self {
        Self::Message(reason)
    }
}

fn undecodable() -> Broken {
    Broken::Protocol(Code::QPACK_DECOMPRESSION_FAILED)
}

/// The pseudo-header fields of a request (RFC 9114 section 4.3.1).
#[derive(Default)]
struct Pseudo {
    method: Option<Vec<u8>>,
    scheme: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    /// Of an extended CONNECT (RFC 9220).
    protocol: Option<Vec<u8>>,
}

impl Pseudo {
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), RejectReason> {
        let slot = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => return Err(RejectReason::PseudoField),
        };
        // A blank would end the word of the request line, a line break the line.
        if value.iter().any(|byte| !matches!(byte, b'!'..=b'~' | 0x80..)) {
            return Err(match name {
                b":method" => RejectReason::InvalidMethod,
                b":path" => RejectReason::InvalidTarget,
                b":authority" => RejectReason::InvalidHost,
                _ => RejectReason::PseudoField,
            });
        }
        if slot.replace(value.to_vec()).is_some() {
            return Err(RejectReason::PseudoField);
        }
        Ok(())
    }

    /// Writes the request line and the host.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), RejectReason> {
        let method = self.method.as_deref().filter(|method| is_token(method)).ok_or(RejectReason::PseudoField)?;
        // An extended CONNECT stands for the upgrade of a GET (RFC 8441 section 5).
        let extended = self.protocol.is_some();
        if extended && !(method == b"CONNECT" && self.protocol.as_deref().is_some_and(is_token)) {
            return Err(RejectReason::PseudoField);
        }
        let method = if extended { b"GET" } else { method };
        let connect = method == b"CONNECT";
        let target = match (&self.path, &self.authority) {
            (None, Some(authority)) if connect => authority,
            (Some(path), _) if !connect && self.scheme.is_some() => path,
            _ => return Err(RejectReason::PseudoField),
        };
        // A path begins with a slash (CVE-2026-33186); a target in another form would name a second host.
        let whole = method == b"OPTIONS" && target == b"*";
        if !(connect || whole || target.starts_with(b"/")) {
            return Err(RejectReason::InvalidTarget);
        }
        out.extend_from_slice(method);
        out.push(b' ');
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if let Some(authority) = &self.authority {
            line(out, b"host", authority);
        }
        Ok(())
    }
}

/// Whether a field may be in a message (RFC 9114 sections 4.2 and 10.3).
fn check(name: &[u8], value: &[u8]) -> Result<(), RejectReason> {
    if !is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
        return Err(RejectReason::InvalidHeaderName);
    }
    if !is_field_value(value) {
        return Err(RejectReason::InvalidHeaderValue);
    }
    if is_connection_specific(name) || (name == b"te" && !value.eq_ignore_ascii_case(b"trailers")) {
        return Err(RejectReason::ConnectionField);
    }
    Ok(())
}

/// Appends a request head as HTTP/1.1 text, at most `limit` bytes of it. Its syntax is checked as far as the text would
/// say something else; what it says is judged by whoever parses the text.
/// Tells whether it is an extended CONNECT; `key` is what HTTP/1.1 wants to be asked for in the upgrade that it stands
/// for.
pub(super) fn request_text(
    section: &[u8],
    limit: usize,
    key: impl FnOnce() -> [u8; 16],
    out: &mut Vec<u8>,
) -> Result<bool, Refusal> {
    let mut reader = FieldReader::new(section).map_err(|_| Refusal::Connection(undecodable()))?;
    let mut pseudo = Pseudo::default();
    let mut begun = false;
    let mut cookie = Vec::new();
    let mut fields = 0;
    while let Some((name, value)) = reader.next().map_err(|_| Refusal::Connection(undecodable()))? {
        // The text is bounded by the section and its expansion; many references to long fields of the table are not.
        fields += name.len() + value.len();
        if fields > limit {
            return Err(RejectReason::HeaderTooLarge.into());
        }
        if name.starts_with(b":") {
            if begun {
                return Err(RejectReason::PseudoField.into());
            }
            pseudo.set(name, value)?;
            continue;
        }
        check(name, value)?;
        if !begun {
            begun = true;
            pseudo.write(out)?;
        }
        if name == b"cookie" {
            // RFC 9114 section 4.2.1: the crumbs become one field again.
            cookie.extend_from_slice(if cookie.is_empty() { b"" } else { b"; " });
            cookie.extend_from_slice(value);
        } else if !(name == b"host" && pseudo.authority.as_deref() == Some(value)) {
            // Another host becomes a second field, which is refused (RFC 9114 section 4.3.1).
            line(out, name, value);
        }
    }
    if !begun {
        pseudo.write(out)?;
    }
    if !cookie.is_empty() {
        line(out, b"cookie", &cookie);
    }
    if let Some(protocol) = &pseudo.protocol {
        heads::upgrade(out, protocol, key);
    }
    out.extend_from_slice(b"\r\n");
    Ok(pseudo.protocol.is_some())
}

/// The trailers of a section; `None` when they are malformed.
pub(super) fn trailers(section: &[u8], limit: usize) -> Result<Option<Trailers>, Broken> {
    let mut reader = FieldReader::new(section).map_err(|_| undecodable())?;
    let mut all = Vec::new();
    let mut size = 0;
    while let Some((name, value)) = reader.next().map_err(|_| undecodable())? {
        size += name.len() + value.len();
        if size > limit || check(name, value).is_err() {
            return Ok(None);
        }
        all.push((name.to_vec(), value.to_vec()));
    }
    Ok(Some(all))
}

/// Appends the field section of a response head, given as HTTP/1.1 text. Returns its size as section 4.2.2 counts it.
pub(super) fn response_section(text: &[u8], out: &mut Vec<u8>) -> Result<u64, Untranslatable> {
    let status = heads::status(text)?;
    begin_section(out);
    write_field(b":status", status.as_str().as_bytes(), out);
    let mut size = FIELD_COST + 10;
    let mut lower = Vec::new();
    for (name, value) in lines(text, first_line(text)?) {
        if is_connection_specific(name) {
            continue;
        }
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        if !is_token(&lower) || !is_field_value(value) {
            return Err(Untranslatable);
        }
        size += FIELD_COST + (name.len() + value.len()) as u64;
        write_field(&lower, value, out);
    }
    Ok(size)
}

/// The field section of trailers; a pair that cannot be sent is left out.
pub(super) fn trailer_section(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    begin_section(&mut out);
    for (name, value) in pairs {
        let lower = name.to_ascii_lowercase();
        if check(&lower, value).is_ok() {
            write_field(&lower, value, &mut out);
        }
    }
    out
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
