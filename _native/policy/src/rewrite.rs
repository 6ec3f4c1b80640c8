//! Rewrites of the path. The query is not part of it and stays with the caller.
//!
//! Source: Envoy `prefix_rewrite` (plain text substitution of the matched prefix) and `regex_rewrite` (RE2
//! `GlobalReplace`). One deliberate deviation: where a prefix without its closing slash is replaced by a value with one
//! (`/api` by `/`, the default of Emissary), Envoy sends `//x` for `/api/x`; here the slashes at the seam become one,
//! because `//x` is another resource for most backends and an authority for some.

use regex::bytes::{Regex, RegexBuilder};
use smallvec::SmallVec;
use thiserror::Error;

/// Greatest size of a compiled pattern in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// The rewritten path is not in normal form: answer 400. Forwarding it would let a backend see another path than the one
/// that was authorised (`/api../x` with the prefix `/api` taken off is `/../x`).
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("the rewritten path is not in normal form")]
pub struct NotNormal;

/// Why a rewrite cannot be compiled.
#[derive(Debug, Error)]
pub enum RewriteError {
    /// The pattern is wrong or too large.
    #[error("the rewrite pattern cannot be used: {0}")]
    Pattern(#[from] Box<regex::Error>),
    /// The substitution names a group that the pattern does not have.
    #[error("the substitution {} names group \\{group}, but the pattern has {}", quoted(text), groups(*have))]
    Group {
        /// The substitution.
        text: String,
        /// The number it names.
        group: usize,
        /// How many groups the pattern has.
        have: usize,
    },
    /// A backslash that neither names a group nor escapes another backslash.
    #[error("the substitution {} has a backslash without a group number; write \\\\ for a backslash", quoted(.0))]
    Backslash(String),
    /// The value or substitution has a character that a path cannot have.
    #[error("{} cannot be part of a path: {}", quoted(text), forbidden(*byte))]
    Character {
        /// The text.
        text: String,
        /// First byte that is wrong.
        byte: u8,
    },
    /// The value is no path in normal form.
    #[error("{} is no path in normal form", quoted(.0))]
    Path(String),
}

/// The text as its author wrote it, backslashes included; only what a terminal would act on is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('"');
    out
}

fn groups(count: usize) -> String {
    match count {
        0 => "no group".to_owned(),
        1 => "1 group".to_owned(),
        more => format!("{more} groups"),
    }
}

fn forbidden(byte: u8) -> String {
    match byte {
        b'?' => "a '?' starts a query, which a rewrite of the path cannot set".to_owned(),
        b'#' => "a '#' starts a fragment, which is never sent".to_owned(),
        b'\\' => "servers may read a backslash as a slash".to_owned(),
        b' ' => "it has a space; write %20".to_owned(),
        b'!'..=b'~' => format!("it has a {:?}", char::from(byte)),
        other => format!("it has the byte 0x{other:02x}; write it percent-encoded"),
    }
}

/// A literal part of a path. Most are short (`/`), and then lie beside what uses them.
pub type Text = SmallVec<[u8; 16]>;

/// A compiled rewrite.
#[derive(Debug, Clone)]
pub enum PathRewrite {
    /// The matched prefix becomes this.
    Prefix(Text),
    /// The whole path becomes this.
    Full(Text),
    /// Every match of the pattern becomes the substitution.
    Regex(Box<RegexRewrite>),
}

/// A pattern and its parsed substitution.
#[derive(Debug, Clone)]
pub struct RegexRewrite {
    pattern: Regex,
    substitution: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl PathRewrite {
    /// Replace the matched prefix by `value`.
    pub fn prefix(value: &str) -> Result<Self, RewriteError> {
        checked(value).map(Self::Prefix)
    }

    /// Replace the whole path by `value`, which must be a path in normal form.
    pub fn full(value: &str) -> Result<Self, RewriteError> {
        let path = checked(value)?;
        if normal(&path) { Ok(Self::Full(path)) } else { Err(RewriteError::Path(value.to_owned())) }
    }

    /// Replace every match of `pattern` by `substitution`: `\0` is the match, `\1` to `\9` its groups, `\\` a backslash.
    pub fn regex(pattern: &str, substitution: &str) -> Result<Self, RewriteError> {
        Self::regex_of(RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build().map_err(Box::new)?, substitution)
    }

    /// As [`PathRewrite::regex`], with a pattern that was compiled elsewhere.
    pub fn regex_of(pattern: Regex, substitution: &str) -> Result<Self, RewriteError> {
        let parts = parse(substitution, pattern.captures_len())?;
        for part in &parts {
            if let Part::Text(text) = part
                && let Some(byte) = text.iter().copied().find(|&byte| !is_path_byte(byte))
            {
                return Err(RewriteError::Character { text: substitution.to_owned(), byte });
            }
        }
        Ok(Self::Regex(Box::new(RegexRewrite { pattern, substitution: parts })))
    }

    /// Append the new path to `out`. `path` is normalised and without query, `matched` the length of the prefix that the
    /// route matched (used by [`PathRewrite::Prefix`] only).
    ///
    /// An empty result is `/`. On error `out` is as it was.
    pub fn apply(&self, path: &[u8], matched: usize, out: &mut Vec<u8>) -> Result<(), NotNormal> {
        let start = out.len();
        match self {
            Self::Prefix(value) => {
                out.extend_from_slice(value);
                let mut rest = path.get(matched..).unwrap_or_default();
                if value.ends_with(b"/") {
                    while let Some(after) = rest.strip_prefix(b"/") {
                        rest = after;
                    }
                }
                out.extend_from_slice(rest);
            }
            Self::Full(value) => out.extend_from_slice(value),
            Self::Regex(rewrite) => rewrite.apply(path, out),
        }
        if out.len() == start {
            out.push(b'/');
        }
        // A path that the rewrite did not change was judged by the codec, whose rules may allow more.
        if out[start..] == *path || normal(&out[start..]) {
            return Ok(());
        }
        out.truncate(start);
        Err(NotNormal)
    }
}

impl RegexRewrite {
    fn apply(&self, path: &[u8], out: &mut Vec<u8>) {
        let mut done = 0;
        for groups in self.pattern.captures_iter(path) {
            let Some(whole) = groups.get(0) else { continue };
            out.extend_from_slice(&path[done..whole.start()]);
            for part in &self.substitution {
                match part {
                    Part::Text(text) => out.extend_from_slice(text),
                    Part::Group(index) => {
                        out.extend_from_slice(groups.get(*index).map_or(b"", |group| group.as_bytes()));
                    }
                }
            }
            done = whole.end();
        }
        out.extend_from_slice(&path[done..]);
    }
}

/// Parse RE2's rewrite syntax; `groups` counts the whole match as one.
fn parse(substitution: &str, groups: usize) -> Result<Vec<Part>, RewriteError> {
    let lone = || RewriteError::Backslash(substitution.to_owned());
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next().ok_or_else(lone)? {
            b'\\' => text.push(b'\\'),
            digit @ b'0'..=b'9' => {
                let index = usize::from(digit - b'0');
                if index >= groups {
                    let have = groups.saturating_sub(1);
                    return Err(RewriteError::Group { text: substitution.to_owned(), group: index, have });
                }
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Group(index));
            }
            _ => return Err(lone()),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn checked(value: &str) -> Result<Text, RewriteError> {
    match value.bytes().find(|&byte| !is_path_byte(byte)) {
        None => Ok(Text::from_slice(value.as_bytes())),
        Some(byte) => Err(RewriteError::Character { text: value.to_owned(), byte }),
    }
}

/// Bytes that a path may have here: visible ASCII without the ones that end a path or that servers read as a slash.
fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'?' | b'#' | b'\\')
}

/// Whether a path starts with one slash, has no dot segments (plain or encoded) and no broken percent-encoding. The
/// codec guarantees it for the path that came; a rewrite can break it.
#[must_use]
pub fn normal(path: &[u8]) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    path.first() == Some(&b'/')
        && path.get(1) != Some(&b'/')
        && path.iter().all(|&byte| is_path_byte(byte))
        && percents_are_whole(path)
        && !segments.any(is_dot_segment)
}

fn percents_are_whole(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path)
        .all(|at| path.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// `.` or `..`, any dot of which may be written `%2e`. A `;` starts parameters that some servers take off first.
fn is_dot_segment(segment: &[u8]) -> bool {
    let mut rest = segment.split(|&byte| byte == b';').next().unwrap_or_default();
    let mut dots = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => return false,
        };
        dots += 1;
    }
    dots == 1 || dots == 2
}
