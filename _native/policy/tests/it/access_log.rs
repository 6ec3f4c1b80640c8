use crate::facts::record;
use proptest::prelude::*;
use sluice_policy::{AccessLog, LogRecord};

fn line(log: &AccessLog, record: &LogRecord<'_>) -> String {
    let mut out = Vec::new();
    log.write(record, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    text.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn the_default_text_is_emissary_s() {
    let headers = [("user-agent", "curl/8")];
    assert_eq!(
        line(&AccessLog::text(""), &record(&headers)),
        "ACCESS [2024-02-29T12:00:00.123Z] \"GET /api/x?q=1 HTTP/1.1\" 200 - 0 512 4 3 \"203.0.113.9,10.0.0.7\" \"curl/8\" \
         \"6f1c5bb0-0000-4000-8000-000000000001\" \"example.com\" \"10.1.2.3:8080\""
    );
}

#[test]
fn the_default_json() {
    let headers = [("user-agent", "curl/8")];
    assert_eq!(
        line(&AccessLog::default(), &record(&headers)),
        "{\"start_time\":\"2024-02-29T12:00:00.123Z\",\"method\":\"GET\",\"path\":\"/api/x?q=1\",\"host\":\"example.com\",\
         \"protocol\":\"HTTP/1.1\",\"response_code\":200,\"response_flags\":\"-\",\"bytes_received\":0,\"bytes_sent\":512,\
         \"duration_ms\":4,\"upstream_host\":\"10.1.2.3:8080\",\"upstream_cluster\":\"quote\",\"route\":\"quote-route\",\
         \"client\":\"203.0.113.9\",\"request_id\":\"6f1c5bb0-0000-4000-8000-000000000001\",\"user_agent\":\"curl/8\",\
         \"config_version\":12}"
    );
}

#[test]
fn operators() {
    let mut record = record(&());
    record.response = &[("content-type", "text/plain")];
    record.request.original_path = Some(b"/old");
    record.flags = "UF,URX";
    for (format, want) in [
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/old"),
        ("%REQ(:PATH):4%|%REQ(:PATH):0%|", "/api||"),
        ("%RESP(CONTENT-TYPE)% %RESP(x-none)% %RESP(x-none?content-type)%", "text/plain - text/plain"),
        ("%RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %ROUTE_NAME%", "UF,URX quote quote-route"),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %CONFIG_VERSION%", "203.0.113.9:4711 12"),
        ("%WHAT% %DURATION(x)% 100%%\n", "- - 100%"),
        ("a\r\nb\n", "a  b"),
    ] {
        assert_eq!(line(&AccessLog::text(format), &record), want, "{format}");
    }
    let log = AccessLog::text("%WHAT% %DURATION(x)% %DURATION%");
    assert_eq!(log.unknown().iter().map(|written| &**written).collect::<Vec<_>>(), ["%WHAT%", "%DURATION(x)%"]);
}

#[test]
fn json_templates() {
    let log = AccessLog::json([
        ("n", "%RESPONSE_CODE%"),
        ("s", "%RESPONSE_CODE% \"x\""),
        ("m", "%RESP(x)%"),
        ("a\"b", "%WHAT%"),
        ("mix", "<%RESP(x)%>"),
        ("e", ""),
    ]);
    assert_eq!(line(&log, &record(&())), r#"{"n":200,"s":"200 \"x\"","m":null,"a\"b":null,"mix":"<->","e":""}"#);
    assert_eq!(line(&AccessLog::json([]), &record(&())), "{}");
}

#[test]
fn hostile_values() {
    let evil = [("user-agent", &b"a\"b\\\r\nACCESS forged\x1b[31m\xff"[..])];
    let text = line(&AccessLog::text("\"%REQ(USER-AGENT)%\""), &record(&evil));
    assert_eq!(text, r#""a\x22b\x5c\x0d\x0aACCESS forged\x1b[31m\xff""#);
    let json = line(&AccessLog::json([("ua", "%REQ(USER-AGENT)%")]), &record(&evil));
    assert_eq!(json, "{\"ua\":\"a\\\"b\\\\\\r\\nACCESS forged\\u001b[31m\u{fffd}\"}");
    let long = [("user-agent", "é".repeat(10_000))];
    assert!(line(&AccessLog::json([("ua", "%REQ(USER-AGENT)%")]), &record(&long)).len() < 8_300);
    // What a client claims about things that the gateway decides does not reach the log.
    let forged = [("x-request-id", "forged"), ("x-forwarded-for", "6.6.6.6"), ("x-envoy-original-path", "/forged")];
    let format = "%REQ(X-REQUEST-ID)% %REQ(X-FORWARDED-FOR)% %REQ(X-ENVOY-ORIGINAL-PATH)%";
    assert!(!line(&AccessLog::text(format), &record(&forged)).contains("forged"));
}

proptest! {
    #[test]
    fn one_record_is_one_line(value in proptest::collection::vec(any::<u8>(), 0..200), format in "[%A-Z()?:a-z0-9_ \"\n-]{0,40}") {
        let headers = [("user-agent", value)];
        let with_agent = format!("{format}%REQ(USER-AGENT)%");
        line(&AccessLog::text(&with_agent), &record(&headers));
        let json = line(&AccessLog::json([(format.as_str(), with_agent.as_str())]), &record(&headers));
        prop_assert!(json.bytes().all(|byte| byte >= b' '));
        prop_assert!(json_is_valid(&json), "{}", json);
    }
}

/// Enough of a JSON reader for one flat object of strings.
fn json_is_valid(text: &str) -> bool {
    let mut rest = text;
    let mut inside = false;
    let mut outside = String::new();
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '"' => inside = !inside,
            '\\' if inside => {
                let skip = match rest.chars().next() {
                    Some('u') if rest.len() >= 5 && rest.as_bytes()[1..5].iter().all(u8::is_ascii_hexdigit) => 5,
                    Some('"' | '\\' | 'n' | 'r' | 't') => 1,
                    _ => return false,
                };
                rest = &rest[skip..];
            }
            _ if inside => {}
            other => outside.push(other),
        }
    }
    !inside && (outside == "{:}" || outside == "{:null}")
}
