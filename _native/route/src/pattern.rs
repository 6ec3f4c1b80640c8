//! Regular expressions that must match a whole value, with RE2's meaning.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::{ParserBuilder, hir::Hir};

use crate::error::PatternError;
use crate::{literal, re2};

/// Largest compiled program in bytes; a bound on what one route can cost in memory.
const SIZE_LIMIT: usize = 1 << 20;

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    literal: Box<[u8]>,
}

impl Pattern {
    /// Compiles `pattern` so that it matches whole values only.
    pub fn full(pattern: &str, ignore_case: bool) -> Result<Self, PatternError> {
        Self::compile(pattern, ignore_case, true)
    }

    /// Compiles `pattern` so that it matches anywhere, for rewrites.
    pub fn partial(pattern: &str) -> Result<Self, PatternError> {
        Self::compile(pattern, false, false)
    }

    fn compile(pattern: &str, ignore_case: bool, full: bool) -> Result<Self, PatternError> {
        let text = re2::translate(pattern);
        // `\d`, `\w` and `\s` are ASCII in RE2, which is also much smaller. Only what cannot be said in bytes
        // (`\pL`, a class with `é`) needs the Unicode tables.
        let (hir, unicode) = match parse(&text, ignore_case, false) {
            Ok(hir) => (hir, false),
            Err(_) => (parse(&text, ignore_case, true).map_err(|error| syntax(pattern, &text, &error))?, true),
        };
        let anchored = if full { format!("\\A(?:{text})\\z") } else { text };
        let regex = RegexBuilder::new(&anchored)
            .unicode(unicode)
            .case_insensitive(ignore_case)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(limit) => PatternError::TooLarge { pattern: pattern.to_owned(), limit },
                other => PatternError::Syntax {
                    pattern: pattern.to_owned(),
                    offset: 0,
                    reason: last_line(&other.to_string()),
                },
            })?;
        Ok(Self { regex, literal: literal::prefix(&hir).into_boxed_slice() })
    }

    /// Whether `value` matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// The compiled expression, for captures and replacement.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Bytes that every match of a full pattern starts with.
    pub(crate) fn literal(&self) -> &[u8] {
        &self.literal
    }
}

fn parse(text: &str, ignore_case: bool, unicode: bool) -> Result<Hir, Box<regex_syntax::Error>> {
    ParserBuilder::new()
        .utf8(false)
        .unicode(unicode)
        .case_insensitive(ignore_case)
        .build()
        .parse(text)
        .map_err(Box::new)
}

fn syntax(pattern: &str, text: &str, error: &regex_syntax::Error) -> PatternError {
    let (offset, reason) = match error {
        regex_syntax::Error::Parse(error) => (error.span().start.offset, error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span().start.offset, error.kind().to_string()),
        other => (0, last_line(&other.to_string())),
    };
    // The translated text only grows, and only after the first difference.
    let same = pattern.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    let offset = if offset <= same { offset } else { offset.saturating_sub(text.len().saturating_sub(pattern.len())) };
    PatternError::Syntax { pattern: pattern.to_owned(), offset, reason }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn whole_value() {
        let p = Pattern::full("/a|/b", false).unwrap();
        assert!(p.is_match(b"/a") && p.is_match(b"/b"));
        assert!(!p.is_match(b"/ax") && !p.is_match(b"x/b") && !p.is_match(b"/b\n"));
    }

    #[test]
    fn messages_show_the_pattern_as_written() {
        let message = Pattern::full("/\\d+(\x1b", false).unwrap_err().to_string();
        assert!(message.starts_with(r#"regex "/\d+(\u{1b}", at offset "#), "{message}");
    }

    #[test]
    fn ascii_classes_and_unicode_when_asked() {
        assert!(!Pattern::full("\\d+", false).unwrap().is_match("٣".as_bytes()));
        assert!(Pattern::full("\\pL+", false).unwrap().is_match("é".as_bytes()));
        assert!(Pattern::full("[é]", false).unwrap().is_match("é".as_bytes()));
        assert!(Pattern::full("caf(é)+", false).unwrap().is_match("caféé".as_bytes()));
    }

    #[test]
    fn literal_prefixes() {
        for (pattern, want) in [
            ("/api/v[0-9]+/x", "/api/v"),
            ("^/a/(b)c.*", "/a/bc"),
            ("/a|/b", "/"),
            ("(?:/ab)+c", "/ab"),
            ("a*", ""),
            ("", ""),
            ("/x/?", "/x"),
        ] {
            let found = Pattern::full(pattern, false).unwrap();
            let found = std::str::from_utf8(found.literal()).unwrap().to_owned();
            assert!(want.starts_with(&found), "{pattern}: {found}");
            assert!(pattern.contains('|') || found == want, "{pattern}: {found}");
        }
        assert_eq!(Pattern::full("/Api", true).unwrap().literal(), b"/");
    }

    #[test]
    fn errors_name_the_place() {
        let error = Pattern::full("/a(b", false).unwrap_err().to_string();
        assert!(error.contains("/a(b") && error.contains("offset 2") && error.contains("unclosed group"), "{error}");
        let error = Pattern::full("(?:\\w{1000}){1000}", false).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
        assert!(Pattern::full("a)(b", false).is_err());
    }
}
