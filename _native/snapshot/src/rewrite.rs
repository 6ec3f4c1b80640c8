//! Path rewrites.

use sluice_route::Pattern;

use crate::model;

/// How much of a path a route matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// The whole path: exact and regex matches (Envoy replaces the whole path for both).
    Whole,
    /// A plain prefix of this many bytes.
    Prefix(usize),
    /// A prefix of whole segments of this many bytes, its trailing slash not counted.
    Segments(usize),
}

/// A piece of a substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

/// A compiled change of the path; the query is not touched.
#[derive(Clone, Debug)]
pub struct PathRewrite(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Prefix(Box<[u8]>),
    Full(Box<[u8]>),
    Regex(Pattern, Box<[Piece]>),
}

impl PathRewrite {
    /// The matched prefix becomes `value`.
    pub(crate) fn prefix(value: &str) -> Result<Self, String> {
        Ok(Self(Kind::Prefix(target(value)?)))
    }

    /// The whole path becomes `value`.
    pub(crate) fn full(value: &str) -> Result<Self, String> {
        Ok(Self(Kind::Full(target(value)?)))
    }

    pub(crate) fn compile(rewrite: &model::PathRewrite) -> Result<Self, String> {
        match rewrite.kind {
            model::PathRewriteKind::Prefix => Self::prefix(&rewrite.value),
            model::PathRewriteKind::Full => Self::full(&rewrite.value),
            model::PathRewriteKind::Regex => {
                let pattern = Pattern::partial(&rewrite.pattern).map_err(|error| error.to_string())?;
                let pieces = pieces(&rewrite.value, pattern.regex().captures_len())?;
                Ok(Self(Kind::Regex(pattern, pieces)))
            }
        }
    }

    /// Appends the new path to `out`. The result always starts with a slash.
    pub fn apply(&self, path: &[u8], matching: Matching, out: &mut Vec<u8>) {
        let start = out.len();
        match &self.0 {
            Kind::Full(value) => out.extend_from_slice(value),
            Kind::Prefix(value) => {
                let rest = match matching {
                    Matching::Whole => &[],
                    Matching::Prefix(len) | Matching::Segments(len) => path.get(len..).unwrap_or_default(),
                };
                out.extend_from_slice(value);
                // Gateway API ReplacePrefixMatch: `/foo` to `/` makes `/bar` of `/foo/bar`. A plain prefix is
                // replaced to the letter, as Envoy does.
                if matches!(matching, Matching::Segments(_)) && value.ends_with(b"/") && rest.starts_with(b"/") {
                    out.pop();
                }
                out.extend_from_slice(rest);
            }
            Kind::Regex(pattern, pieces) => substitute(pattern, pieces, path, out),
        }
        if out.get(start) != Some(&b'/') {
            out.insert(start, b'/');
        }
    }
}

/// RE2 `GlobalReplace`: every match that does not overlap the one before.
fn substitute(pattern: &Pattern, pieces: &[Piece], path: &[u8], out: &mut Vec<u8>) {
    let mut done = 0;
    for captures in pattern.regex().captures_iter(path) {
        let Some(whole) = captures.get(0) else { continue };
        out.extend_from_slice(&path[done..whole.start()]);
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Group(n) => out.extend_from_slice(captures.get(*n).map_or(&[], |group| group.as_bytes())),
            }
        }
        done = whole.end();
    }
    out.extend_from_slice(&path[done..]);
}

/// Splits a substitution of RE2: `\0` to `\9` are groups, `\\` is a backslash.
fn pieces(value: &str, groups: usize) -> Result<Box<[Piece]>, String> {
    check(value)?;
    let mut out = Vec::new();
    let mut text = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => text.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group >= groups {
                    return Err(format!("substitution {value:?} uses group {group}, the pattern has {}", groups - 1));
                }
                if !text.is_empty() {
                    out.push(Piece::Text(std::mem::take(&mut text).into_boxed_slice()));
                }
                out.push(Piece::Group(group));
            }
            _ => return Err(format!("substitution {value:?} has a backslash without a group number")),
        }
    }
    if !text.is_empty() {
        out.push(Piece::Text(text.into_boxed_slice()));
    }
    Ok(out.into_boxed_slice())
}

fn target(value: &str) -> Result<Box<[u8]>, String> {
    check(value)?;
    Ok(Box::from(value.as_bytes()))
}

/// Blanks and control characters would end the request line.
fn check(value: &str) -> Result<(), String> {
    if value.bytes().any(|b| b <= 0x20 || b == 0x7f) {
        return Err(format!("{value:?} contains a blank or a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Matching, PathRewrite};
    use crate::model;

    fn apply(rewrite: &PathRewrite, path: &str, matching: Matching) -> String {
        let mut out = b"GET ".to_vec();
        rewrite.apply(path.as_bytes(), matching, &mut out);
        String::from_utf8(out.split_off(4)).unwrap()
    }

    fn regex(pattern: &str, value: &str) -> Result<PathRewrite, String> {
        let (pattern, value) = (pattern.to_owned(), value.to_owned());
        PathRewrite::compile(&model::PathRewrite { kind: model::PathRewriteKind::Regex, value, pattern })
    }

    #[test]
    fn prefixes() {
        let root = PathRewrite::prefix("/").unwrap();
        assert_eq!(apply(&root, "/foo/bar", Matching::Prefix(5)), "/bar");
        assert_eq!(apply(&root, "/foo/bar", Matching::Prefix(4)), "//bar");
        assert_eq!(apply(&root, "/foo/bar", Matching::Segments(4)), "/bar");
        assert_eq!(apply(&root, "/foo", Matching::Segments(4)), "/");
        assert_eq!(apply(&root, "/foo/x", Matching::Whole), "/");
        let empty = PathRewrite::prefix("").unwrap();
        assert_eq!(apply(&empty, "/foo", Matching::Prefix(4)), "/");
        assert_eq!(apply(&PathRewrite::full("/x").unwrap(), "/foo", Matching::Prefix(4)), "/x");
    }

    #[test]
    fn regexes() {
        let swap = regex("/([a-z]+)/([a-z]+)", "/\\2/\\1").unwrap();
        assert_eq!(apply(&swap, "/a/b/c/d/9", Matching::Whole), "/b/a/d/c/9");
        assert_eq!(apply(&regex("^/x", "").unwrap(), "/xyz", Matching::Whole), "/yz");
        assert!(regex("a", "\\1").is_err() && regex("a", "\\x").is_err() && regex("(", "").is_err());
        assert!(regex("a", "b c").is_err() && PathRewrite::full("/a\r\n").is_err());
    }
}
