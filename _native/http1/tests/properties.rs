//! Properties over generated input: splits do not matter, normal forms are fixed points, nothing panics.

// Clippy takes only functions marked as tests for tests, not their helpers.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sluice_http1::{
    ChunkedDecoder, EscapedSlashes, HeadLimits, Method, NormalizePolicy, RequestHead, ResponseHead, Underscores,
    normalize_host, normalize_path, parse_request, parse_response,
};

fn policies() -> impl Strategy<Value = NormalizePolicy> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(merge_slashes, keep, drop)| NormalizePolicy {
        merge_slashes,
        escaped_slashes: if keep { EscapedSlashes::Keep } else { EscapedSlashes::Reject },
        underscores: if drop { Underscores::Drop } else { Underscores::Reject },
        ..NormalizePolicy::default()
    })
}

/// Requests that are sound, or nearly so.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let target = "(/[a-c.%;]{0,4}(/|%2[eEfF5]|\\.\\.|\\?)?){1,3}|\\*|http://a/[a-c]{0,2}";
    let line = ("(GET|POST|OPTIONS|PURGE)", target, "HTTP/1\\.[01]|HTTP/2\\.0");
    let field = prop_oneof![
        Just("Host: a\r\n".to_owned()),
        Just("Connection: close, x-a\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        "X-[A-C]{1,3}:[ \t]{0,2}[ -~]{0,6}\r\n",
        "[a-c_ :]{1,3}: ?x?(\r\n|\n|\r)",
    ];
    let fields = prop::collection::vec(field, 0..5);
    (line, any::<bool>(), fields, "\r?\n", "[a-z]{0,3}").prop_map(
        |((method, target, version), host, fields, end, rest)| {
            let host = if host { "Host: a\r\n" } else { "" };
            format!("{method} {target} {version}\r\n{host}{}{end}{rest}", fields.concat()).into_bytes()
        },
    )
}

type Observed = (Vec<u8>, Vec<u8>, Vec<(Vec<u8>, bool)>);

fn observe(text: &[u8], policy: NormalizePolicy) -> Result<Option<(usize, Observed)>, ()> {
    let mut head = RequestHead::new();
    let length = parse_request(text, &HeadLimits::default(), &policy, &mut head).map_err(|_| ())?;
    Ok(length.map(|length| {
        let fields = head.headers.iter().map(|entry| (entry.value.of(text).to_vec(), entry.drop)).collect();
        (length, (head.path(text).to_vec(), head.host(text).to_vec(), fields))
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn byte_by_byte_equals_whole(text in requests(), policy in policies()) {
        let whole = observe(&text, policy);
        let pieces = (0..=text.len()).map(|end| observe(&text[..end], policy)).find(|seen| *seen != Ok(None));
        match pieces {
            None => prop_assert_eq!(whole, Ok(None)),
            Some(pieces) => {
                if let Ok(Some((length, _))) = &pieces {
                    prop_assert!(text[..*length].ends_with(b"\r\n\r\n"));
                }
                prop_assert_eq!(whole, pieces);
            }
        }
    }

    #[test]
    fn an_accepted_head_has_only_crlf(text in requests(), policy in policies()) {
        if let Ok(Some((length, _))) = observe(&text, policy) {
            let head = &text[..length];
            let pairs = head.windows(2).filter(|pair| pair == b"\r\n").count();
            let controls = head.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
            prop_assert_eq!(controls, pairs * 2);
        }
    }

    #[test]
    fn a_normal_path_is_a_fixed_point(path in "(/([a-c.;~]|%[0-9a-fA-F]{2}|%2[eEfF5]|\\.\\.){0,5}){1,5}", policy in policies()) {
        if let Ok(once) = normalize_path(path.as_bytes(), &policy) {
            let twice = normalize_path(&once, &policy).unwrap();
            prop_assert_eq!(&once, &twice);
            prop_assert!(once.len() <= path.len());
            prop_assert!(once.starts_with(b"/"));
            for segment in once.split(|&byte| byte == b'/') {
                prop_assert!(segment != b"." && segment != b"..");
            }
        }
    }

    #[test]
    fn a_normal_host_is_a_fixed_point(host in "[a-cA-C0-9.\\[\\]:_-]{0,12}") {
        if let Ok(once) = normalize_host(host.as_bytes()) {
            let twice = normalize_host(&once.host).unwrap();
            prop_assert_eq!(&once.host, &twice.host);
        }
    }

    #[test]
    fn chunk_splits_do_not_matter(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cuts in prop::collection::vec(1_usize..20, 1..40),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut text = Vec::new();
        for chunk in &chunks {
            text.extend_from_slice(format!("{:X};e\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\na: b\r\n\r\nnext");
        if let Some((index, byte)) = damage {
            let index = index.index(text.len());
            text[index] = byte;
        }
        let whole = feed(&text, &[text.len()]);
        let pieces = feed(&text, &cuts);
        if damage.is_none() {
            prop_assert_eq!(&whole, &Ok((chunks.concat(), Some(4), 1)));
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), policy in policies()) {
        let _ = observe(&bytes, policy);
        let _ = normalize_path(&bytes, &policy);
        let _ = normalize_host(&bytes);
        let _ = parse_response(&bytes, &HeadLimits::default(), Method::Get, &mut ResponseHead::new());
        let _ = ChunkedDecoder::new().decode(&mut bytes);
    }
}

/// Decodes in pieces of these lengths: data, bytes behind the end, trailers.
fn feed(text: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<usize>, usize), sluice_http1::ChunkError> {
    let mut decoder = ChunkedDecoder::new();
    let mut data = Vec::new();
    let mut at = 0;
    for cut in cuts.iter().cycle() {
        let mut part = text[at..text.len().min(at + cut)].to_vec();
        let step = decoder.decode(&mut part)?;
        data.extend_from_slice(&part[..step.data_len]);
        at += step.consumed;
        if step.finished {
            return Ok((data, Some(text.len() - at), decoder.trailers().len()));
        }
        assert_eq!(step.consumed, part.len());
        if at == text.len() {
            break;
        }
    }
    Ok((data, None, 0))
}
