//! What heads become, and what is malformed.

use super::*;

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "example.com"), (":path", "/a?b=c")];

fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    begin_section(&mut out);
    for (name, value) in fields {
        write_field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

fn text(fields: &[(&str, &str)]) -> Result<String, Refusal> {
    let mut out = Vec::new();
    request_text(&section(fields), 1000, || [0; 16], &mut out)?;
    Ok(String::from_utf8(out).expect("a head is text here"))
}

fn with(more: &[(&'static str, &'static str)]) -> Result<String, Refusal> {
    text(&[&GET[..], more].concat())
}

#[test]
fn a_request_becomes_text() {
    assert_eq!(
        with(&[("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2"), ("host", "example.com")]).as_deref(),
        Ok("GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nx-one: 1\r\ncookie: a=1; b=2\r\n\r\n")
    );
    assert_eq!(with(&[]).as_deref(), Ok("GET /a?b=c HTTP/1.1\r\nhost: example.com\r\n\r\n"));
    let connect = [(":method", "CONNECT"), (":authority", "a:1")];
    assert_eq!(text(&connect).as_deref(), Ok("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"));
    let star = [(":method", "OPTIONS"), (":scheme", "https"), (":path", "*"), ("host", "h")];
    assert_eq!(text(&star).as_deref(), Ok("OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n"));
}

#[test]
fn an_extended_connect_is_an_upgrade() {
    let connect = [(":method", "CONNECT"), (":scheme", "https"), (":authority", "h"), (":path", "/chat")];
    let extended = |protocol| text(&[&connect[..], &[(":protocol", protocol), ("x", "1")]].concat());
    assert_eq!(
        extended("websocket").as_deref(),
        Ok("GET /chat HTTP/1.1\r\nhost: h\r\nx: 1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    );
    let udp = extended("connect-udp").expect("another protocol, for the route to judge");
    assert!(udp.ends_with("upgrade: connect-udp\r\n\r\n"));
    assert_eq!(extended("a b"), Err(RejectReason::PseudoField.into()));
    assert_eq!(text(&[&GET[..], &[(":protocol", "websocket")]].concat()), Err(RejectReason::PseudoField.into()));
    let targetless = [(":method", "CONNECT"), (":authority", "h"), (":protocol", "websocket")];
    assert_eq!(text(&targetless), Err(RejectReason::PseudoField.into()));
}

#[test]
fn another_host_stays_visible() {
    let both = with(&[("host", "other")]).expect("that is for the parser to refuse");
    assert!(both.contains("\r\nhost: example.com\r\nhost: other\r\n"));
}

#[test]
fn nothing_in_a_field_becomes_text_of_its_own() {
    use RejectReason::{InvalidHeaderName, InvalidHeaderValue, InvalidHost, InvalidMethod, InvalidTarget, PseudoField};
    for bad in ["\r", "\n", "\0", "a\r\nb: c", "\u{7f}", " a", "a "] {
        let own: &'static str = Box::leak(bad.to_owned().into_boxed_str());
        assert_eq!(with(&[("x", own)]), Err(InvalidHeaderValue.into()), "{bad:?}");
    }
    for bad in ["", "a b", "a\r", "A", "a:", "é", "a\0", " "] {
        let own: &'static str = Box::leak(bad.to_owned().into_boxed_str());
        assert_eq!(with(&[(own, "x")]), Err(InvalidHeaderName.into()), "{bad:?}");
    }
    for bad in ["a b", "/ HTTP/1.1\r\nx: y", "/\0", "/\n", "/\t", "/\u{7f}"] {
        let pseudo = |at: usize| {
            let mut fields = GET;
            fields[at].1 = bad;
            text(&fields)
        };
        assert_eq!(pseudo(0), Err(InvalidMethod.into()), "{bad:?}");
        assert_eq!(pseudo(1), Err(PseudoField.into()), "{bad:?}");
        assert_eq!(pseudo(2), Err(InvalidHost.into()), "{bad:?}");
        assert_eq!(pseudo(3), Err(InvalidTarget.into()), "{bad:?}");
    }
}

#[test]
fn pseudo_fields_in_disorder() {
    let wrong: &[&[(&str, &str)]] = &[
        &[],
        &GET[1..],
        &GET[..3],
        &[GET[0], GET[2], GET[3]],
        &[GET[0], GET[0], GET[1], GET[2], GET[3]],
        &[GET[0], GET[1], GET[2], GET[3], GET[3]],
        &[GET[0], GET[1], GET[2], ("x", "y"), GET[3]],
        &[GET[0], GET[1], GET[2], GET[3], (":status", "200")],
        &[GET[0], GET[1], GET[2], GET[3], (":protocol", "websocket")],
        &[(":method", "CONNECT"), GET[1], GET[2], GET[3]],
        &[(":method", "a(b"), GET[1], GET[2], GET[3]],
    ];
    for fields in wrong {
        assert_eq!(text(fields), Err(RejectReason::PseudoField.into()), "{fields:?}");
    }
    for path in ["", "a", "http://other/", "*", "?x", "//x:1"] {
        let fields = [GET[0], GET[1], GET[2], (":path", path)];
        assert_eq!(text(&fields).is_ok(), path.starts_with('/'), "{path:?}");
    }
}

#[test]
fn fields_of_a_connection() {
    for name in ["connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"] {
        assert_eq!(with(&[(name, "x")]), Err(RejectReason::ConnectionField.into()), "{name}");
    }
    assert_eq!(with(&[("te", "gzip")]), Err(RejectReason::ConnectionField.into()));
    assert!(with(&[("te", "trailers")]).is_ok());
}

#[test]
fn a_head_that_is_too_large() {
    assert_eq!(with(&[("x", Box::leak("v".repeat(1000).into_boxed_str()))]), Err(RejectReason::HeaderTooLarge.into()));
    // Two bytes each, but 65 in the text.
    let mut many = section(&GET);
    many.extend([0xff, 22].repeat(100));
    assert_eq!(request_text(&many, 1000, || [0; 16], &mut Vec::new()), Err(RejectReason::HeaderTooLarge.into()));
}

#[test]
fn what_cannot_be_decoded_ends_the_connection() {
    let dynamic = [0, 0, 0x80];
    assert_eq!(request_text(&dynamic, 1000, || [0; 16], &mut Vec::new()), Err(Refusal::Connection(undecodable())));
    assert_eq!(trailers(&dynamic, 1000), Err(undecodable()));
}

#[test]
fn answers_become_sections() {
    let mut out = Vec::new();
    let text = b"HTTP/1.1 404 Not Found\r\nServer: x\r\nempty: \r\nconnection: close\r\n\r\n";
    let size = response_section(text, &mut out).expect("translatable");
    let mut reader = FieldReader::new(&out).expect("own sections are read");
    let mut seen = Vec::new();
    while let Some((name, value)) = reader.next().expect("own lines are read") {
        seen.push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()));
    }
    let expected = [(":status", "404"), ("server", "x"), ("empty", "")];
    assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(size, 10 + 7 + 5 + 3 * 32);
    assert!(response_section(b"nonsense", &mut Vec::new()).is_err());
}

#[test]
fn trailers_both_ways() {
    let pairs = vec![(b"X-Sum".to_vec(), b"42".to_vec()), (b"connection".to_vec(), b"close".to_vec())];
    let sent = trailer_section(&pairs);
    assert_eq!(trailers(&sent, 100), Ok(Some(vec![(b"x-sum".to_vec(), b"42".to_vec())])));
    assert_eq!(trailers(&sent, 3), Ok(None), "too large");
    assert_eq!(trailers(&section(&[(":status", "200")]), 100), Ok(None));
}
