use proptest::prelude::*;
use sluice_policy::rewrite::{NotNormal, PathRewrite, normal};

fn apply(rewrite: &PathRewrite, path: &str, matched: usize) -> Result<String, NotNormal> {
    let mut out = b"GET ".to_vec();
    let result = rewrite.apply(path.as_bytes(), matched, &mut out);
    assert_eq!(result.is_err(), out == b"GET ", "on error nothing stays, else something does");
    result.map(|()| String::from_utf8(out[4..].to_vec()).unwrap())
}

#[test]
fn prefixes() {
    for (prefix, value, path, want) in [
        ("/api/", "/", "/api/x", Ok("/x")),
        ("/api/", "/", "/api/", Ok("/")),
        ("/api", "/", "/api", Ok("/")),
        ("/api", "/", "/api/x", Ok("/x")),
        ("/api", "/", "/api/x/", Ok("/x/")),
        ("/api", "/", "/apix", Ok("/x")),
        ("/api", "/", "/api//x", Ok("/x")),
        ("/api", "/v1", "/api/x", Ok("/v1/x")),
        ("/api/", "/v1", "/api/x", Ok("/v1x")),
        ("/api/", "/v1/", "/api//x", Ok("/v1/x")),
        ("/", "/", "/x", Ok("/x")),
        ("/", "/", "//x", Ok("/x")),
        ("/", "/v1/", "/a//b", Ok("/v1/a//b")),
        ("/foo", "", "/foo", Ok("/")),
        ("/foo", "", "/foo/x", Ok("/x")),
        ("/foo", "", "/foox", Err(NotNormal)),
        ("/foo", "", "/foo//x", Err(NotNormal)),
        // Traefik's StripPrefix contract: what was a name must not become a dot segment.
        ("/api", "/", "/api../x", Err(NotNormal)),
        ("/api", "", "/api../x", Err(NotNormal)),
        ("/api", "/", "/api./x", Err(NotNormal)),
        ("/api", "/v1/", "/api..", Err(NotNormal)),
        ("/api", "/", "/api%2e%2e/x", Err(NotNormal)),
        ("/api", "/", "/api.%2E/x", Err(NotNormal)),
        ("/api", "/", "/api..;a=b/x", Err(NotNormal)),
        ("/api", "/v1", "/api../x", Ok("/v1../x")),
        ("/api", "/", "/api.x", Ok("/.x")),
        ("/api", "/", "/api.../x", Ok("/.../x")),
        ("/a%", "/", "/a%41", Ok("/41")),
    ] {
        let rewrite = PathRewrite::prefix(value).unwrap();
        assert_eq!(
            apply(&rewrite, path, prefix.len()).as_deref(),
            want.as_ref().copied(),
            "{prefix} -> {value}: {path}"
        );
    }
}

#[test]
fn patterns() {
    for (pattern, substitution, path, want) in [
        ("/a/([0-9]+)", r"/b/\1", "/a/12/x", Ok("/b/12/x")),
        ("a", "b", "/a/a", Ok("/b/b")),
        ("^/(x)(y)?", r"/\2\1", "/x/z", Ok("/x/z")),
        ("/x", r"/\0\0", "/x", Err(NotNormal)),
        ("x", r"\0\0", "/x", Ok("/xx")),
        ("y", "z", "/x", Ok("/x")),
        ("y", "z", "//x", Ok("//x")),
        (".*", "", "/x", Ok("/")),
        ("^/", "", "/x", Err(NotNormal)),
        ("a*", "-", "/b", Err(NotNormal)),
        ("b*", "-", "/b", Err(NotNormal)),
        ("-", "%", "/a-2", Err(NotNormal)),
        ("-", "", "/%-2e/%2-e", Err(NotNormal)),
        ("x", "..", "/x/a", Err(NotNormal)),
    ] {
        let rewrite = PathRewrite::regex(pattern, substitution).unwrap();
        assert_eq!(apply(&rewrite, path, 0).as_deref(), want.as_ref().copied(), "{pattern} -> {substitution}: {path}");
    }
    for (pattern, substitution) in
        [("(", "x"), ("a", r"\1"), ("(a)", r"\2"), ("a", r"\"), ("a", r"\x"), ("a", r"\\"), ("a", " "), ("a", "?")]
    {
        assert!(PathRewrite::regex(pattern, substitution).is_err(), "{pattern} {substitution}");
    }
    assert!(PathRewrite::regex("(a{1000}){1000}", "x").is_err(), "too large");
}

#[test]
fn messages_name_the_culprit() {
    for (pattern, substitution, words) in [
        (r"/a/(\d+)", r"/b?id=\1", r#""/b?id=\1" cannot be part of a path: a '?' starts a query"#),
        ("/a", "/b c", "write %20"),
        ("/a", "/b#c", "a '#' starts a fragment"),
        ("/a", r"/\1", r#""/\1" names group \1, but the pattern has no group"#),
        ("/(a)(b)", r"/\3", "names group \\3, but the pattern has 2 groups"),
        ("/a", r"/\x", "backslash without a group number"),
        ("/a", "/b\\", "backslash without a group number"),
    ] {
        let message = PathRewrite::regex(pattern, substitution).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("pattern cannot be used"), "{message}");
    }
    assert!(PathRewrite::prefix("/a?b").unwrap_err().to_string().contains("a '?' starts a query"));
}

#[test]
fn whole_paths() {
    assert_eq!(apply(&PathRewrite::full("/new").unwrap(), "/old/x", 4).as_deref(), Ok("/new"));
    for bad in ["", "new", "//new", "/a/../b", "/a b", "/a?b", "/a#b", "/a\r\nb", "/a\\b", "/%zz", "/ä"] {
        assert!(PathRewrite::full(bad).is_err(), "{bad}");
    }
    assert!(PathRewrite::prefix("/a\r\nx: y").is_err());
    assert!(PathRewrite::prefix("/a?b").is_err());
}

proptest! {
    /// Whatever the parts are, the outcome is in normal form or refused, and without change of the text behind it.
    #[test]
    fn the_outcome_is_normal(path in "(/[a.%2e;-]{0,4}){1,5}", value in "(/[a.]{0,3}){0,2}/?", matched in 0_usize..12) {
        let matched = matched.min(path.len());
        if let Ok(rewrite) = PathRewrite::prefix(&value)
            && let Ok(out) = apply(&rewrite, &path, matched)
        {
            prop_assert!(out == path || normal(out.as_bytes()), "{}", out);
            let rest = path[matched..].trim_start_matches('/');
            prop_assert!(out.ends_with(rest));
        }
    }

    /// The decoder of a backend sees no dot segment in a path that is called normal.
    #[test]
    fn a_normal_path_has_no_dot_segment_after_decoding(path in "(/[ab.%2e]{0,7}){1,4}") {
        if normal(path.as_bytes()) {
            let decoded = path.replace("%2e", ".");
            prop_assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."), "{}", path);
        }
    }
}
