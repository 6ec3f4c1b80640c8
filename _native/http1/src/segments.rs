//! Dot segments (RFC 3986 5.2.4).

use crate::reason::RejectReason;

/// Removes `.` and `..` segments of an absolute path in place.
///
/// Empty segments count as segments, as in the RFC. Unlike the RFC, which ignores it, climbing above the root is an
/// error: no honest client does it. Dot segments that only some servers resolve are errors as well.
pub(crate) fn remove_dot_segments(path: &mut Vec<u8>) -> Result<(), RejectReason> {
    // Everything before `write` is output: whole segments, each with its leading slash.
    let mut write = 0;
    let mut read = 0;
    while read < path.len() {
        let start = read + 1;
        let end = memchr::memchr(b'/', &path[start..]).map_or(path.len(), |offset| start + offset);
        let last = end == path.len();
        match &path[start..end] {
            b"." => {
                if last {
                    path[write] = b'/';
                    write += 1;
                }
            }
            b".." => {
                write = memchr::memrchr(b'/', &path[..write]).ok_or(RejectReason::PathAboveRoot)?;
                if last {
                    path[write] = b'/';
                    write += 1;
                }
            }
            segment => {
                check_ambiguous(segment)?;
                path.copy_within(read..end, write);
                write += end - read;
            }
        }
        read = end;
    }
    path.truncate(write);
    Ok(())
}

/// Refuses a segment in which a server that strips parameters or decodes slashes would see a dot segment.
fn check_ambiguous(segment: &[u8]) -> Result<(), RejectReason> {
    let mut rest = segment;
    let mut inner_start = true;
    while let Some(&byte) = rest.first() {
        if inner_start && is_dots_before_delimiter(rest, rest.len() != segment.len()) {
            return Err(RejectReason::AmbiguousDotSegment);
        }
        inner_start = byte == b'%' && is_escaped_slash(rest);
        rest = &rest[if inner_start { 3 } else { 1 }..];
    }
    Ok(())
}

/// Whether `rest` begins with one or two dots and then something that may end a segment.
fn is_dots_before_delimiter(rest: &[u8], after_escaped_slash: bool) -> bool {
    let ([b'.', b'.', tail @ ..] | [b'.', tail @ ..]) = rest else {
        return false;
    };
    match tail {
        [] => after_escaped_slash,
        [b';', ..] => true,
        tail => is_escaped_slash(tail) || tail.starts_with(b"%3B"),
    }
}

fn is_escaped_slash(rest: &[u8]) -> bool {
    rest.starts_with(b"%2F") || rest.starts_with(b"%5C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::remove_dot_segments;
    use crate::RejectReason;

    /// The same by a stack of segments.
    fn oracle(path: &str) -> Result<String, RejectReason> {
        let mut stack = Vec::new();
        let mut open = false;
        for segment in path.split('/').skip(1) {
            open = false;
            match segment {
                "." => open = true,
                ".." => {
                    stack.pop().ok_or(RejectReason::PathAboveRoot)?;
                    open = true;
                }
                segment => stack.push(segment),
            }
        }
        if open {
            stack.push("");
        }
        Ok(stack.iter().flat_map(|segment| ["/", segment]).collect())
    }

    fn remove(path: &str) -> Result<String, RejectReason> {
        let mut bytes = path.as_bytes().to_vec();
        remove_dot_segments(&mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn examples_of_the_rfc() {
        for (path, expected) in [
            ("/a/b/c/./../../g", "/a/g"),
            ("/b/c/.", "/b/c/"),
            ("/b/c/..", "/b/"),
            ("/b/c/../..", "/"),
            ("/b/c/g.", "/b/c/g."),
            ("/b/c/.g", "/b/c/.g"),
            ("/b/c/g..", "/b/c/g.."),
            ("/b/c/..g", "/b/c/..g"),
            ("/b/c/g/./h", "/b/c/g/h"),
        ] {
            assert_eq!(remove(path).as_deref(), Ok(expected), "{path}");
        }
    }

    proptest! {
        #[test]
        fn equals_the_oracle(path in "(/(\\.|\\.\\.|[ab.]{0,3})){1,8}") {
            prop_assert_eq!(remove(&path), oracle(&path));
        }
    }
}
