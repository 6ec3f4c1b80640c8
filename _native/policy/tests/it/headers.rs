use crate::facts::request;
use sluice_policy::HeaderEdits;
use sluice_policy::headers::HeaderEditError;

fn value(template: &str, headers: &[(&str, &str)]) -> String {
    let edits = HeaderEdits::compile([], [("x-a", template, true)]).unwrap();
    let mut out = Vec::new();
    edits.append_added(&mut out, &request(&headers));
    let line = String::from_utf8(out).unwrap();
    line.strip_prefix("x-a: ").unwrap().strip_suffix("\r\n").unwrap().to_owned()
}

#[test]
fn values() {
    let headers = [("user-agent", "curl/8"), ("X-Tenant", "blue")];
    for (template, want) in [
        ("plain", "plain"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "203.0.113.9"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "203.0.113.9:4711"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.7"),
        ("%PROTOCOL%", "HTTP/1.1"),
        ("%START_TIME%", "2024-02-29T12:00:00.123Z"),
        ("%START_TIME(%s.%3f)%", "1709208000.123"),
        ("%REQ(:METHOD)% %REQ(:path)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%", "GET /api/x?q=1 example.com https"),
        ("%REQ(X-TENANT)%", "blue"),
        ("%REQ(X-NONE?USER-AGENT)%", "curl/8"),
        ("%REQ(USER-AGENT):4%", "curl"),
        ("<%REQ(X-NONE)%>", "<>"),
        ("100%% %", "100% %"),
        // Not known, or not known at this moment: as written.
        ("%UNKNOWN(a)%", "%UNKNOWN(a)%"),
        ("%RESPONSE_CODE%", "%RESPONSE_CODE%"),
        ("%REQ(a?b?c)%", "%REQ(a?b?c)%"),
        ("50%off%", "50%off%"),
    ] {
        assert_eq!(value(template, &headers), want, "{template}");
    }
}

#[test]
fn a_value_cannot_leave_its_line() {
    assert_eq!(value("%REQ(X-EVIL)%", &[("x-evil", " a\r\nset-cookie: b\0 ")]), "aset-cookie: b");
    assert_eq!(value("%REQ(X-LONG)%", &[("x-long", &"a".repeat(20_000))]).len(), 8192);
}

#[test]
fn order_of_edits() {
    let edits = HeaderEdits::compile(
        ["X-Gone"],
        [("X-A", "1", true), ("x-a", "2", false), ("X-A", "3", true), ("x-b", "4", true)],
    )
    .unwrap();
    let mut out = Vec::new();
    edits.append_added(&mut out, &request(&()));
    assert_eq!(String::from_utf8(out).unwrap(), "x-a: 2\r\nx-a: 3\r\nx-b: 4\r\n");
    for (name, removed) in [("x-gone", true), ("X-GONE", true), ("x-a", true), ("X-B", false), ("x-other", false)] {
        assert_eq!(edits.removes(name.as_bytes()), removed, "{name}");
    }
    assert!(!edits.is_empty());
    assert!(HeaderEdits::default().is_empty());
}

#[test]
fn refusals() {
    for name in [
        "Host",
        ":path",
        ":authority",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "TE",
        "upgrade",
        "keep-alive",
    ] {
        let wrong = HeaderEditError::Protected(name.to_owned());
        assert_eq!(HeaderEdits::compile([], [(name, "x", true)]).unwrap_err(), wrong);
        assert_eq!(HeaderEdits::compile([name], []).unwrap_err(), wrong);
    }
    for name in ["", "a b", "a:", "a\r\n", "ä"] {
        assert_eq!(HeaderEdits::compile([], [(name, "x", true)]).unwrap_err(), HeaderEditError::Name(name.to_owned()));
    }
    for value in ["a\r\nb", " a", "a ", "\0"] {
        let wrong = HeaderEditError::Value("x-a".to_owned());
        assert_eq!(HeaderEdits::compile([], [("x-a", value, true)]).unwrap_err(), wrong, "{value:?}");
    }
}
