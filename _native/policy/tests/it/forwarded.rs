use proptest::prelude::*;
use sluice_policy::{ClientInfo, Scheme, Security, TrustPolicy, compute};
use std::net::IpAddr;

fn ask(peer: &str, tls: bool, xff: &[&str], xfp: Option<&str>, policy: TrustPolicy) -> ClientInfo {
    compute(peer.parse().unwrap(), tls, xff.iter().map(|line| line.as_bytes()), xfp.map(str::as_bytes), &policy)
}

fn policy(use_remote_address: bool, trusted_hops: u32) -> TrustPolicy {
    TrustPolicy { use_remote_address, trusted_hops, ..TrustPolicy::default() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The examples of Envoy's documentation of x-forwarded-for, by their numbers: client address, internal, edge.
#[test]
fn examples_of_the_documentation() {
    let three = "203.0.113.128, 203.0.113.10, 203.0.113.1";
    let four = "203.0.113.128, 203.0.113.10, 203.0.113.1, 192.0.2.5";
    for (number, edge, hops, peer, xff, client, internal) in [
        (1, true, 0, "192.0.2.5", three, "192.0.2.5", false),
        (2, false, 0, "10.11.12.13", four, "192.0.2.5", false),
        (3, true, 2, "192.0.2.5", three, "203.0.113.10", false),
        (4, false, 2, "10.11.12.13", four, "203.0.113.10", false),
    ] {
        let info = ask(peer, false, &[xff], None, policy(edge, hops));
        assert_eq!((info.client, info.internal, info.edge), (ip(client), internal, edge), "example {number}");
        assert_eq!(info.external_address(), edge.then(|| ip(client)), "example {number}");
    }
    let inside = ask("10.20.30.40", false, &[], None, policy(false, 0));
    assert_eq!((inside.client, inside.internal), (ip("10.20.30.40"), false), "example 5: no XFF, so external");
    let inside = ask("10.20.30.50", false, &["10.20.30.40"], None, policy(false, 0));
    assert_eq!((inside.client, inside.internal), (ip("10.20.30.40"), true), "example 6");
}

#[test]
fn the_trusted_address_is_counted_from_the_right() {
    for (hops, lines, client) in [
        (1, &["1.1.1.1"][..], "1.1.1.1"),
        (1, &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (1, &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        (2, &["6.6.6.6", "2.2.2.2, 1.1.1.1"], "2.2.2.2"),
        (2, &["6.6.6.6, 2.2.2.2", "", "1.1.1.1"], "2.2.2.2"),
        (1, &["6.6.6.6,[2001:db8::1]:443"], "2001:db8::1"),
        (1, &["6.6.6.6, 1.1.1.1:4711"], "1.1.1.1"),
        (1, &["::ffff:1.2.3.4"], "1.2.3.4"),
        // Too few, or junk in the place that counts: the peer.
        (2, &["1.1.1.1"], "9.9.9.9"),
        (1, &[], "9.9.9.9"),
        (1, &["1.1.1.1, unknown"], "9.9.9.9"),
        (1, &["1.1.1.1,"], "9.9.9.9"),
        (1, &[" , "], "9.9.9.9"),
        (u32::MAX, &["1.1.1.1"], "9.9.9.9"),
        // Junk further left does not matter.
        (1, &["<script>, 1.1.1.1"], "1.1.1.1"),
        (0, &["1.1.1.1"], "9.9.9.9"),
    ] {
        assert_eq!(ask("9.9.9.9", true, lines, None, policy(true, hops)).client, ip(client), "{hops} {lines:?}");
    }
    assert_eq!(ask("::ffff:9.9.9.9", true, &[], None, policy(true, 0)).client, ip("9.9.9.9"));
}

#[test]
fn the_scheme_is_believed_from_trusted_proxies_only() {
    for (remote, hops, tls, xfp, want) in [
        (true, 0, false, Some("https"), Scheme::Http),
        (true, 0, true, Some("http"), Scheme::Https),
        (true, 0, true, None, Scheme::Https),
        (true, 1, false, Some("https"), Scheme::Https),
        (true, 1, true, Some("http"), Scheme::Http),
        (true, 1, true, None, Scheme::Https),
        (true, 1, false, Some("HTTPS"), Scheme::Http),
        (true, 1, false, Some("https,http"), Scheme::Http),
        (true, 1, false, Some("javascript"), Scheme::Http),
        (true, 1, false, Some(""), Scheme::Http),
        (false, 0, false, Some("https"), Scheme::Https),
    ] {
        let info = ask("9.9.9.9", tls, &["1.1.1.1"], xfp, policy(remote, hops));
        assert_eq!(info.scheme, want, "{remote} {hops} {tls} {xfp:?}");
        assert_eq!(info.secure, want == Scheme::Https);
    }
    for (security, want) in [(Security::Secure, true), (Security::Insecure, false)] {
        for tls in [true, false] {
            let info = ask("9.9.9.9", tls, &[], None, TrustPolicy { security, ..policy(true, 0) });
            assert_eq!(info.secure, want);
            assert_eq!(info.scheme == Scheme::Https, tls, "the header still tells the truth");
        }
    }
}

#[test]
fn internal_requests() {
    for (remote, hops, peer, xff, internal) in [
        (true, 0, "10.0.0.1", &[][..], true),
        (true, 0, "fd00::1", &[], true),
        (true, 0, "8.8.8.8", &[], false),
        (true, 0, "10.0.0.1", &["10.0.0.2"], false),
        (true, 1, "10.0.0.1", &["10.0.0.2"], false),
        (true, 1, "10.0.0.1", &[], true),
        (false, 0, "8.8.8.8", &["10.0.0.2"], true),
        (false, 0, "8.8.8.8", &["10.0.0.3, 10.0.0.2"], false),
        (false, 0, "10.0.0.1", &["junk"], false),
        (false, 1, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], false),
    ] {
        let info = ask(peer, true, xff, None, policy(remote, hops));
        assert_eq!(info.internal, internal, "{remote} {hops} {peer} {xff:?}");
        assert_eq!(info.edge, remote && !internal);
    }
}

#[test]
fn headers_of_an_untrusted_client_are_dropped() {
    let outside = ask("8.8.8.8", true, &[], None, policy(true, 0));
    let pod = ask("10.0.0.1", true, &[], None, policy(true, 0));
    let balancer = ask("10.0.0.1", true, &["8.8.8.8"], None, policy(true, 1));
    let mesh = ask("10.0.0.1", true, &["10.0.0.2"], None, policy(false, 0));
    let mesh_outside = ask("10.0.0.1", true, &["8.8.8.8"], None, policy(false, 0));
    for (name, passes) in [
        // outside, pod, behind a balancer, mesh internal, mesh external
        ("x-forwarded-for", [true, true, true, true, true]),
        ("x-forwarded-proto", [false, false, false, false, false]),
        ("x-forwarded-host", [false, false, true, true, true]),
        ("x-forwarded-port", [false, false, true, true, true]),
        ("x-forwarded-prefix", [false, false, true, true, true]),
        ("x-forwarded-client-cert", [false, false, false, false, false]),
        ("forwarded", [false, false, true, true, true]),
        ("x-real-ip", [false, false, true, true, true]),
        ("x-envoy-internal", [false, false, false, false, false]),
        ("x-envoy-external-address", [false, false, false, true, true]),
        ("x-envoy-retry-on", [false, false, false, true, false]),
        ("x-envoy-original-path", [false, false, false, true, true]),
        ("x-request-id", [false, true, false, true, true]),
        ("x-custom", [true, true, true, true, true]),
        ("authorization", [true, true, true, true, true]),
        ("from", [true, true, true, true, true]),
        ("x-", [true, true, true, true, true]),
    ] {
        let all = [&outside, &pod, &balancer, &mesh, &mesh_outside];
        assert_eq!(all.map(|info| info.forwards(name.as_bytes())), passes, "{name}");
        let upper = name.to_ascii_uppercase();
        assert_eq!(all.map(|info| info.forwards(upper.as_bytes())), passes, "{upper}");
    }
    let kept = ask("8.8.8.8", true, &[], None, TrustPolicy { preserve_external_request_id: true, ..policy(true, 0) });
    assert!(kept.forwards(b"x-request-id"));
}

proptest! {
    /// Whatever a client puts in front, the entries that trusted proxies appended decide.
    #[test]
    fn a_client_cannot_choose_its_address(forged in "[0-9a-f:.,\\[\\] ]{0,80}", hops in 1_u32..4) {
        let chain: Vec<String> = (0..hops).map(|hop| format!("192.0.2.{hop}")).collect();
        let line = format!("{forged},{}", chain.join(", "));
        let info = ask("9.9.9.9", true, &[&line], None, policy(true, hops));
        prop_assert_eq!(info.client, ip("192.0.2.0"));
        prop_assert_eq!(ask("9.9.9.9", true, &[&line], Some(&forged), policy(true, 0)).client, ip("9.9.9.9"));
    }
}
