//! `Connection`, `Upgrade` and `TE` (RFC 9110 7.6.1, 7.8, 10.1.4).

use crate::bytes::list;
use crate::fields::HeaderEntry;
use crate::kind::HeaderKind;
use crate::reason::RejectReason;
use crate::span::Span;

/// Clients send two or three options; the bound keeps the matching of names against options cheap.
const MAX_OPTIONS: usize = 32;

/// What `Connection` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

/// Reads all `Connection` fields and marks the fields they nominate as dropped, except protected ones.
pub(crate) fn apply(buf: &[u8], headers: &mut [HeaderEntry]) -> Result<Options, RejectReason> {
    let mut options = Options::default();
    let mut count = 0;
    for index in 0..headers.len() {
        if headers[index].kind != HeaderKind::Connection {
            continue;
        }
        for option in list(headers[index].value.of(buf)) {
            count += 1;
            if count > MAX_OPTIONS {
                return Err(RejectReason::TooManyConnectionOptions);
            }
            match option {
                b"" => {}
                name if name.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
                name if name.eq_ignore_ascii_case(b"close") => options.close = true,
                name if name.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
                name => nominate(buf, headers, name),
            }
        }
    }
    Ok(options)
}

fn nominate(buf: &[u8], headers: &mut [HeaderEntry], name: &[u8]) {
    for entry in headers.iter_mut() {
        if !entry.kind.is_protected() && entry.name.of(buf).eq_ignore_ascii_case(name) {
            entry.drop = true;
        }
    }
}

/// The first protocol in `Upgrade` other than `h2c`.
pub(crate) fn upgrade(buf: &[u8], headers: &[HeaderEntry]) -> Option<Span> {
    headers.iter().filter(|entry| entry.kind == HeaderKind::Upgrade).find_map(|entry| {
        let mut start = entry.value.start as usize;
        entry.value.of(buf).split(|&byte| byte == b',').find_map(|raw| {
            let leading = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let protocol = crate::bytes::trim_ows(raw);
            let begin = start + leading;
            start += raw.len() + 1;
            let offered = !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c");
            offered.then(|| Span::new(begin, begin + protocol.len()))
        })
    })
}

/// Whether `TE` lists `trailers`.
pub(crate) fn te_trailers(buf: &[u8], headers: &[HeaderEntry]) -> bool {
    headers
        .iter()
        .filter(|entry| entry.kind == HeaderKind::Te)
        .any(|entry| list(entry.value.of(buf)).any(|coding| coding.eq_ignore_ascii_case(b"trailers")))
}
