//! Server names in hellos: whole, in pieces, in many records, broken.

use proptest::prelude::*;
use sluice_policy::client_hello::{FirstBytes, MAX_HELLO, MAX_PEEK, look, look_at_message};

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

fn vector(data: &[u8]) -> Vec<u8> {
    [&short(data.len())[..], data].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(body)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector(&[&[0][..], &vector(name)].concat()))
}

/// The handshake message with these extensions, `None` for one without the field.
fn message(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[2, 1, 1]);
    // A GREASE suite (RFC 8701) among the known ones.
    body.extend_from_slice(&vector(&[0x0a, 0x0a, 0x13, 0x01]));
    body.extend_from_slice(&[1, 0]);
    if let Some(extensions) = extensions {
        body.extend_from_slice(&vector(extensions));
    }
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1][..], &length[1..], &body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector(part)].concat()).collect()
}

fn named(name: &str) -> FirstBytes {
    FirstBytes::Hello(Some(name.into()))
}

#[test]
fn names() {
    let grease = extension(0x1a1a, b"");
    let encrypted = extension(0xfe0d, &[0; 300]);
    let table: [(Vec<u8>, FirstBytes); 5] = [
        (message(Some(&sni(b"a.example"))), named("a.example")),
        (message(Some(&sni(b"A.Example."))), named("a.example")),
        (message(Some(&[grease.clone(), encrypted, sni(b"outer.example"), grease].concat())), named("outer.example")),
        (message(Some(&extension(43, &[2, 3, 4]))), FirstBytes::Hello(None)),
        (message(None), FirstBytes::Hello(None)),
    ];
    for (message, expected) in table {
        assert_eq!(look(&records(&message, 1 << 14)), expected, "{message:?}");
    }
}

#[test]
fn what_is_not_a_hello() {
    let long = sni(&[b'a'; 300]);
    let unnamed = extension(0, b"");
    let two = [sni(b"a"), sni(b"b")].concat();
    let two_inside = extension(0, &vector(&[&[0][..], &vector(b"a"), &[0], &vector(b"b")].concat()));
    let broken: [&[u8]; 9] =
        [&long, &unnamed, &two, &two_inside, &sni(b"a\0b"), &sni(b""), &sni(b"."), &sni(&[0xff]), &[0, 0, 9]];
    for extensions in broken {
        assert_eq!(look(&records(&message(Some(extensions)), 1 << 14)), FirstBytes::Malformed, "{extensions:?}");
    }
    let mut behind = message(Some(b""));
    behind[3] += 1;
    behind.push(0);
    assert_eq!(look(&records(&behind, 1 << 14)), FirstBytes::Malformed, "bytes behind the extensions");
    let table: [(&[u8], FirstBytes); 8] = [
        (b"", FirstBytes::Incomplete),
        (b"\x16", FirstBytes::Incomplete),
        (b"GET / HTTP/1.1\r\n", FirstBytes::Cleartext),
        (b"\x16\x02", FirstBytes::Cleartext),
        (b"\x80\x2e\x01\x03\x01", FirstBytes::Cleartext),
        (b"\x16\x03\x01\x00\x00", FirstBytes::Malformed),
        (b"\x16\x03\x01\x40\x01", FirstBytes::Malformed),
        (b"\x16\x03\x01\x00\x01\x02", FirstBytes::Malformed),
    ];
    for (bytes, expected) in table {
        assert_eq!(look(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn the_length_is_bounded() {
    let of = |padding: usize| message(Some(&[extension(21, &vec![0; padding]), sni(b"a.example")].concat()));
    let room = MAX_HELLO - of(0).len();
    assert_eq!(look(&records(&of(room), 1 << 14)), named("a.example"));
    // Known to be too long as soon as it says so.
    let long = records(&of(room + 1), 1 << 14);
    assert_eq!(look(&long[..9]), FirstBytes::Malformed);
    assert_eq!(look(&long), FirstBytes::Malformed);
    let tiny = records(&of(8000), 1);
    assert_eq!(look(&tiny[..MAX_PEEK]), FirstBytes::Malformed);
    assert_eq!(look(&tiny[..MAX_PEEK - 1]), FirstBytes::Incomplete);
}

proptest! {
    #[test]
    fn pieces_and_records_do_not_matter(
        name in "[a-z]([a-z0-9-]{0,20}[a-z])?(\\.[a-z]{1,8}){0,3}",
        size in 1usize..80,
        padding in 0usize..600,
        cut in any::<prop::sample::Index>(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = records(&message(Some(&[extension(21, &vec![0; padding]), sni(name.as_bytes())].concat())), size);
        prop_assert_eq!(look(&bytes[..cut.index(bytes.len())]), FirstBytes::Incomplete);
        let whole = [&bytes[..], &behind].concat();
        prop_assert_eq!(look(&whole), named(&name));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let FirstBytes::Hello(Some(name)) = look(&bytes) {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_it_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        size in 1usize..200,
    ) {
        let mut bytes = records(&message(Some(&[sni(b"a.example"), extension(16, b"\0\x03\x02h2")].concat())), size);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = look(&bytes);
    }
}

#[test]
fn messages_without_records() {
    let hello = message(Some(&[extension(0x1a1a, &[0; 6000]), sni(b"A.example")].concat()));
    for end in 0..hello.len() {
        assert_eq!(look_at_message(&hello[..end]), FirstBytes::Incomplete, "{end} bytes");
    }
    assert_eq!(look_at_message(&hello), named("a.example"));
    assert_eq!(look_at_message(&[&hello[..], b"more"].concat()), named("a.example"));
    let longest = u32::try_from(MAX_HELLO - 4).unwrap().to_be_bytes();
    assert_eq!(look_at_message(&[&[1], &longest[1..]].concat()), FirstBytes::Incomplete);
    let longer = u32::try_from(MAX_HELLO - 3).unwrap().to_be_bytes();
    for broken in [&[2][..], &[1, longer[1], longer[2], longer[3]], &[1, 0, 0, 0], &[1, 0, 0, 1, 3]] {
        assert_eq!(look_at_message(broken), FirstBytes::Malformed, "{broken:?}");
    }
}
