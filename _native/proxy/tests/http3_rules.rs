//! Clients of HTTP/3 that break the rules, frame by frame.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError};
use serde_json::{Value, json};
use sluice_http1::RejectReason;
use sluice_http3::{begin_section, kind, varint, write_field, write_frame_header};
use sluice_policy::stats::Global;
use support::Gate;
use support::config::{all_to, plain, route_to};
use support::quic::{self, HOST};
use support::secure::Authority;
use support::upstream::Upstream;

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame_header(kind, payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out
}

fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    begin_section(&mut out);
    for (name, value) in fields {
        write_field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

fn get() -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")];
    frame(kind::HEADERS, &section(&fields))
}

/// A unidirectional stream of a type with what is on it.
async fn uni(connection: &Connection, kind: u64, bytes: &[u8]) -> quinn::SendStream {
    let mut stream = connection.open_uni().await.unwrap();
    let mut out = Vec::new();
    varint::write(kind, &mut out);
    out.extend_from_slice(bytes);
    stream.write_all(&out).await.unwrap();
    stream
}

/// One request stream, to its end: the bytes that came back.
async fn exchange(connection: &Connection, bytes: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    send.finish().unwrap();
    receive.read_to_end(100_000).await.unwrap()
}

/// The code with which the gateway ended the connection.
async fn ended(connection: &Connection) -> u64 {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

/// A gate that answers by itself, and a client of it.
fn with_client<W>(work: impl FnOnce(Connection) -> W + Send + 'static) -> Gate
where
    W: Future<Output = ()>,
{
    with_options(&json!({}), work)
}

/// As [`with_client`], with options of the gateway.
fn with_options<W>(options: &Value, work: impl FnOnce(Connection) -> W + Send + 'static) -> Gate
where
    W: Future<Output = ()>,
{
    let authority = Authority::new();
    let routes = [route_to("/", "direct", json!({"status": 200, "body": "fine"}))];
    let mut sections = quic::sections(&authority, plain(&routes, &[]));
    sections.push(("options", options.clone()));
    let gate = Gate::new(&sections);
    let address = gate.serve_udp();
    let mut config = quic::client_config(&authority);
    // A connection that is kept alive has to be ended by somebody.
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_millis(100)));
    config.transport_config(Arc::new(transport));
    gate.run(move |_| {
        quic::run(async {
            let connection = quic::dial(&config, address).await.unwrap();
            work(connection.clone()).await;
            quic::close(&connection).await;
        });
    });
    gate
}

#[test]
fn control_streams_that_break_the_rules() {
    let settings = frame(kind::SETTINGS, &[]);
    let cases: [(&str, Vec<u8>, u64); 10] = [
        ("no settings first", frame(kind::MAX_PUSH_ID, &[1]), 0x10a),
        ("settings twice", [&settings[..], &settings].concat(), 0x105),
        ("settings of HTTP/2", frame(kind::SETTINGS, &[2, 0]), 0x109),
        ("settings that are cut", frame(kind::SETTINGS, &[6, 0x40]), 0x106),
        ("settings without end", [0x04, 0x80, 0x01, 0x00, 0x00].to_vec(), 0x107),
        ("data", [&settings[..], &frame(kind::DATA, b"x")].concat(), 0x105),
        ("a frame of HTTP/2", [&settings[..], &frame(0x06, b"12345678")].concat(), 0x105),
        (
            "fewer pushes",
            [&settings[..], &frame(kind::MAX_PUSH_ID, &[5]), &frame(kind::MAX_PUSH_ID, &[4])].concat(),
            0x108,
        ),
        ("a later goodbye", [&settings[..], &frame(kind::GOAWAY, &[4]), &frame(kind::GOAWAY, &[8])].concat(), 0x108),
        ("a push that never was", [&settings[..], &frame(kind::CANCEL_PUSH, &[0])].concat(), 0x108),
    ];
    for (what, bytes, code) in cases {
        let gate = with_client(move |connection| async move {
            let _control = uni(&connection, 0, &bytes).await;
            assert_eq!(ended(&connection).await, code, "{what}");
        });
        gate.assert_settled();
    }
}

#[test]
fn streams_that_must_not_be() {
    let cases: [(&str, &[u64], bool, u64); 4] = [
        ("two control streams", &[0, 0], false, 0x103),
        ("a push", &[1], false, 0x103),
        ("two encoders", &[2, 2], false, 0x103),
        ("a control stream that ends", &[0], true, 0x104),
    ];
    for (what, kinds, finish, code) in cases {
        let gate = with_client(move |connection| async move {
            let mut streams = Vec::new();
            for kind in kinds {
                streams.push(uni(&connection, *kind, &frame(kind::SETTINGS, &[])).await);
            }
            if finish {
                streams[0].finish().unwrap();
            }
            assert_eq!(ended(&connection).await, code, "{what}");
        });
        gate.assert_settled();
    }
}

#[test]
fn requests_that_break_the_rules() {
    let dynamic = frame(kind::HEADERS, &[0, 0, 0x80]);
    let cases: [(&str, Vec<u8>, u64); 6] = [
        ("data first", frame(kind::DATA, b"x"), 0x105),
        ("settings", frame(kind::SETTINGS, &[]), 0x105),
        ("a frame of HTTP/2", frame(0x02, b"12345"), 0x105),
        ("a frame that is cut", get()[..9].to_vec(), 0x106),
        ("a header of a frame that is cut", vec![0x01], 0x106),
        ("a dynamic table", dynamic, 0x200),
    ];
    for (what, bytes, code) in cases {
        let gate = with_client(move |connection| async move {
            let (mut send, _receive) = connection.open_bi().await.unwrap();
            send.write_all(&bytes).await.unwrap();
            let _already_closed = send.finish();
            assert_eq!(ended(&connection).await, code, "{what}");
        });
        gate.assert_settled();
    }
}

#[test]
fn what_nobody_knows_is_passed_over() {
    let grease = 0x1f * 5 + 0x21;
    let gate = with_client(move |connection| async move {
        // Far more than is ever held of a stream.
        let large = frame(grease, &vec![7; 700_000]);
        let _unknown = uni(&connection, grease, b"anything").await;
        let _control =
            uni(&connection, 0, &[frame(kind::SETTINGS, &[]), large.clone(), frame(grease, b"")].concat()).await;
        let bytes = exchange(&connection, &[large, get(), frame(grease, b"x")].concat()).await;
        assert!(bytes.ends_with(&frame(kind::DATA, b"fine")), "{bytes:?}");
        let mut stream = uni(&connection, 2, b"").await;
        stream.write_all(&vec![0; 200_000]).await.unwrap();
        assert!(exchange(&connection, &get()).await.ends_with(b"fine"));
    });
    assert_eq!(gate.global(Global::Requests), 2);
    gate.assert_settled();
}

#[test]
fn a_head_that_is_announced_too_large_is_not_collected() {
    let gate = with_client(|connection| async move {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let mut bytes = Vec::new();
        write_frame_header(kind::HEADERS, 1 << 40, &mut bytes);
        send.write_all(&bytes).await.unwrap();
        let answer = receive.read_to_end(10_000).await.unwrap();
        // An indexed name (24) with a literal value.
        assert!(answer.windows(6).any(|window| window == b"\x5f\x09\x03431"), "{answer:?}");
        assert_eq!(send.stopped().await.unwrap().unwrap().into_inner(), 0x100);
    });
    assert_eq!(gate.global(Global::Requests), 0);
    gate.assert_settled();
}

#[test]
fn a_stream_without_a_request_is_incomplete() {
    let gate = with_client(|connection| async move {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.finish().unwrap();
        let failed = receive.read_to_end(100).await.unwrap_err();
        let reset = quinn::ReadError::Reset(0x10d_u32.into());
        assert!(matches!(failed, quinn::ReadToEndError::Read(error) if error == reset));
        assert!(exchange(&connection, &get()).await.ends_with(b"fine"));
    });
    gate.assert_settled();
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let gate = with_options(&json!({"request_head_timeout_ms": 200}), |connection| async move {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&get()[..5]).await.unwrap();
        let answer = receive.read_to_end(10_000).await.unwrap();
        assert!(answer.windows(6).any(|window| window == b"\x5f\x09\x03408"), "{answer:?}");
        assert!(exchange(&connection, &get()).await.ends_with(b"fine"));
    });
    gate.assert_settled();
}

#[test]
fn a_connection_without_requests_is_ended() {
    let gate = with_options(&json!({"listener_idle_timeout_ms": 300}), |connection| async move {
        assert!(exchange(&connection, &get()).await.ends_with(b"fine"));
        assert_eq!(ended(&connection).await, 0x100);
    });
    gate.assert_settled();
}

#[test]
fn streams_that_are_only_cancelled_end_the_connection() {
    let upstream = Upstream::raw(|mut wire, _| drop(wire.rest()));
    let authority = Authority::new();
    let gate = Gate::new(&quic::sections(&authority, all_to(upstream.address)));
    let address = gate.serve_udp();
    let config = quic::client_config(&authority);
    let code = gate.run(move |_| {
        quic::run(async {
            let connection = quic::dial(&config, address).await.unwrap();
            while let Ok((mut send, mut receive)) = connection.open_bi().await {
                if send.write_all(&get()).await.is_err() {
                    break;
                }
                let _ended = send.finish();
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ended = receive.stop(0x10c_u32.into());
            }
            ended(&connection).await
        })
    });
    assert_eq!(code, 0x107);
    assert_eq!(RejectReason::StreamResets.as_str(), "stream_resets");
    gate.assert_settled();
}
