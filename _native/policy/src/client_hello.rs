//! The server name in a TLS `ClientHello`, read from the first bytes of a connection without ending its TLS.
//!
//! Source: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3. Unknown extensions, versions and suites (GREASE, RFC
//! 8701, and an encrypted inner hello among them) are passed over: only the outer server name is looked at.

/// Longest hello that is read, with the four bytes of its handshake header.
pub const MAX_HELLO: usize = 16 * 1024;
/// Bytes that a look at a connection needs at most: the longest hello, in records of a few hundred bytes each.
pub const MAX_PEEK: usize = MAX_HELLO + 512;

const RECORD_HEADER: usize = 5;
/// Kind and length of a handshake message.
const HEADER: usize = 4;
/// `ContentType.handshake`, and the major version of all TLS records.
const HANDSHAKE: u8 = 22;
const MAJOR: u8 = 3;
/// `HandshakeType.client_hello`
const CLIENT_HELLO: u8 = 1;
/// Longest payload of a plaintext record.
const MAX_RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstBytes {
    /// Too few to tell, or the hello goes on.
    Incomplete,
    /// Not TLS.
    Cleartext,
    /// TLS with this server name in lower case and without a final dot, where it has one.
    Hello(Option<Box<str>>),
    /// TLS, but no hello, one that contradicts itself, or one that is too long.
    Malformed,
}

/// Tells what the first bytes of a connection are. Bytes behind the hello do not matter.
#[must_use]
pub fn look(bytes: &[u8]) -> FirstBytes {
    match hello(bytes) {
        Ok(Some(message)) => named(&message).unwrap_or(FirstBytes::Malformed),
        Ok(None) => FirstBytes::Incomplete,
        Err(other) => other,
    }
}

/// As [`look`] for the handshake messages of a QUIC connection, which come without records (RFC 9001 section 4.1.3). Costs
/// next to nothing while the hello is incomplete, so it may be asked after each piece.
#[must_use]
pub fn look_at_message(bytes: &[u8]) -> FirstBytes {
    match end(bytes) {
        Ok(Some(end)) => match bytes.get(HEADER..end) {
            Some(message) => named(message).unwrap_or(FirstBytes::Malformed),
            None => FirstBytes::Incomplete,
        },
        Ok(None) => FirstBytes::Incomplete,
        Err(other) => other,
    }
}

/// Where the hello that a handshake message begins with ends; `None` while its header is incomplete.
fn end(message: &[u8]) -> Result<Option<usize>, FirstBytes> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(FirstBytes::Malformed);
    }
    let Some(&[_, a, b, c]) = message.first_chunk::<HEADER>() else { return Ok(None) };
    let end = HEADER + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
    if end > MAX_HELLO { Err(FirstBytes::Malformed) } else { Ok(Some(end)) }
}

/// The body of the hello, put together from its records; `None` while it is incomplete.
fn hello(bytes: &[u8]) -> Result<Option<Vec<u8>>, FirstBytes> {
    let mut message: Vec<u8> = Vec::new();
    let mut rest = bytes;
    let mut first = true;
    loop {
        let broken = if first { FirstBytes::Cleartext } else { FirstBytes::Malformed };
        if rest.first().is_some_and(|&kind| kind != HANDSHAKE) || rest.get(1).is_some_and(|&major| major != MAJOR) {
            return Err(broken);
        }
        let Some((&[_, _, _, high, low], payload)) = rest.split_first_chunk::<RECORD_HEADER>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > MAX_RECORD {
            return Err(FirstBytes::Malformed);
        }
        message.extend_from_slice(payload.get(..length).unwrap_or(payload));
        if let Some(end) = end(&message)?
            && message.len() >= end
        {
            message.truncate(end);
            message.drain(..HEADER);
            return Ok(Some(message));
        }
        // Records of a byte each would not fit into a look, however short the hello is.
        if bytes.len() >= MAX_PEEK {
            return Err(FirstBytes::Malformed);
        }
        match payload.get(length..) {
            Some(next) => rest = next,
            None => return Ok(None),
        }
        first = false;
    }
}

/// Takes a message apart from the front.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A vector with a length of one byte.
    fn small(&mut self) -> Option<&'b [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// A vector with a length of two bytes.
    fn vector(&mut self) -> Option<&'b [u8]> {
        let length = self.short()?;
        self.take(length.into())
    }
}

/// A hello with its server name; `None` for one that contradicts itself.
fn named(message: &[u8]) -> Option<FirstBytes> {
    let mut reader = Reader(message);
    reader.take(2 + 32)?;
    let session = reader.small()?;
    let suites = reader.vector()?;
    let compressions = reader.small()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    // TLS 1.2 knows hellos without extensions.
    if reader.0.is_empty() {
        return Some(FirstBytes::Hello(None));
    }
    let mut extensions = Reader(reader.vector()?);
    if !reader.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let (kind, body) = (extensions.short()?, extensions.vector()?);
        // At most one extension of each kind (RFC 8446 section 4.2): two names would be read differently elsewhere.
        if kind == SERVER_NAME && found.replace(host_name(body)?).is_some() {
            return None;
        }
    }
    Some(FirstBytes::Hello(found))
}

fn host_name(extension: &[u8]) -> Option<Box<str>> {
    let mut reader = Reader(extension);
    let mut names = Reader(reader.vector()?);
    let (kind, name) = (names.byte()?, names.vector()?);
    // Lists with more than one name are not in use, and RFC 6066 forbids a second one of a kind.
    if !reader.0.is_empty() || !names.0.is_empty() || kind != HOST_NAME {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && !name.is_empty() && name.len() <= 253).then(|| name.to_ascii_lowercase().into_boxed_str())
}
