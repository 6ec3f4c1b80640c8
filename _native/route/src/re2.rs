//! RE2 spelling to the spelling of the `regex` crate, where the two differ.
//!
//! Source: <https://github.com/google/re2/wiki/Syntax>. RE2 takes a brace that does not start a counted repetition as a
//! literal, has no nested character classes or class operators, quotes with `\Q…\E` and lets every punctuation
//! character be escaped (`\<` is a word boundary in the `regex` crate).

/// Rewrites `pattern`; text that is the same in both dialects comes back unchanged. Never fails: what neither
/// understands is left for the parser to report.
pub(crate) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' => escape(rest, &mut out),
            '[' => class(rest, &mut out),
            '{' if !is_counted(rest) => {
                out.push_str("\\{");
                &rest[1..]
            }
            _ => copy(rest, c, &mut out),
        };
    }
    out
}

fn copy<'a>(rest: &'a str, c: char, out: &mut String) -> &'a str {
    out.push(c);
    &rest[c.len_utf8()..]
}

/// True for `{2}`, `{2,}` and `{2,5}`.
fn is_counted(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else { return false };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match inner.split_once(',') {
        None => digits(inner),
        Some((low, high)) => digits(low) && (high.is_empty() || digits(high)),
    }
}

/// Copies the escape that `rest` starts with and returns what follows it.
fn escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let after = &rest[1..];
    let Some(c) = after.chars().next() else { return copy(rest, '\\', out) };
    match c {
        'Q' => {
            let (quoted, tail) = after[1..].split_once("\\E").unwrap_or((&after[1..], ""));
            out.push_str(&regex_syntax::escape(quoted));
            tail
        }
        '<' | '>' => copy(after, c, out),
        // These carry an argument in braces, which must not be taken for literal braces.
        'p' | 'P' | 'x' if after[1..].starts_with('{') => {
            let end = after.find('}').map_or(after.len(), |at| at + 1);
            out.push('\\');
            out.push_str(&after[..end]);
            &after[end..]
        }
        _ => {
            out.push('\\');
            copy(after, c, out)
        }
    }
}

/// Copies the character class that `rest` starts with and returns what follows it.
fn class<'a>(rest: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = &rest[1..];
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            ']' if !first => return copy(rest, c, out),
            '\\' => escape(rest, out),
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                out.push_str(&rest[..end]);
                &rest[end..]
            }
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                copy(rest, c, out)
            }
            '-' if rest.starts_with("--") && !first => {
                // `+--` is the range from plus to minus; in the regex crate `--` is a set difference.
                out.push_str("-\\-");
                &rest[2..]
            }
            _ => copy(rest, c, out),
        };
        first = false;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn differences_are_rewritten() {
        for (re2, ours) in [
            ("/user/{id}", "/user/\\{id}"),
            ("a{2,3}b{2}c{2,}", "a{2,3}b{2}c{2,}"),
            ("[[]", "[\\[]"),
            ("[]a]", "[\\]a]"),
            ("[^]a]", "[^\\]a]"),
            ("[a&&b]", "[a\\&\\&b]"),
            ("[[:alpha:]_]", "[[:alpha:]_]"),
            ("\\Qa.b\\E.", "a\\.b."),
            ("\\<b\\>", "<b>"),
            ("\\p{Greek}\\x{41}", "\\p{Greek}\\x{41}"),
            ("[\\]]{", "[\\]]\\{"),
            ("[+--]", "[+-\\-]"),
        ] {
            assert_eq!(translate(re2), ours, "{re2}");
            assert!(regex_syntax::parse(&translate(re2)).is_ok(), "{re2}");
        }
    }
}
