use proptest::prelude::*;
use sluice_policy::upstream::retry::is_idempotent;
use sluice_policy::upstream::{
    Attempt, Backoff, Outcome, RetryBudget, RetryDecision, RetryOn, RetryPolicy, RetryReason, StopReason,
};

const WORDS: [&str; 7] =
    ["5xx", "gateway-error", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes", "reset"];

fn policy(on: &str) -> RetryPolicy {
    RetryPolicy { on: on.parse().unwrap(), num_retries: 2, status_codes: [418, 503].into() }
}

fn get(outcome: Outcome) -> Attempt {
    Attempt { outcome, sent: true, idempotent: true, replayable: true, retries: 0 }
}

#[test]
fn words() {
    assert_eq!("".parse(), Ok(RetryOn::default()));
    assert_eq!(" 5xx , reset,".parse(), Ok(RetryOn { server_error: true, reset: true, ..RetryOn::default() }));
    let all: RetryOn = WORDS.join(",").parse().unwrap();
    assert!(all.gateway_error && all.connect_failure && all.retriable_4xx && all.refused_stream);
    assert!(all.retriable_status_codes);
    for bad in ["5XX", "5xx reset", "envoy-ratelimited", "reset,4xx"] {
        let error = bad.parse::<RetryOn>().unwrap_err();
        assert!(bad.contains(&error.0), "{error}");
    }
}

/// Each word covers what Envoy's documentation of `x-envoy-retry-on` says.
#[test]
fn conditions() {
    use Outcome::{ConnectFailure, PerTryTimeout, RefusedStream, Reset, Status};
    let silent = [ConnectFailure, Reset, RefusedStream, PerTryTimeout];
    for (word, statuses, failures) in [
        ("5xx", &[500, 501, 502, 503, 504, 599][..], &silent[..]),
        ("gateway-error", &[502, 503, 504], &silent),
        ("connect-failure", &[], &[ConnectFailure]),
        ("retriable-4xx", &[409], &[]),
        ("refused-stream", &[], &[RefusedStream]),
        ("retriable-status-codes", &[418, 503], &[]),
        ("reset", &[], &silent),
        ("", &[], &[]),
    ] {
        let policy = policy(word);
        for status in [200, 204, 301, 400, 404, 409, 418, 429, 500, 501, 502, 503, 504, 599, 600] {
            let want = if statuses.contains(&status) {
                RetryDecision::Retry(RetryReason::Status(status))
            } else {
                RetryDecision::Stop(StopReason::NotAsked)
            };
            assert_eq!(policy.decide(&get(Status(status))), want, "{word}: {status}");
        }
        for failure in silent {
            let retried = matches!(policy.decide(&get(failure)), RetryDecision::Retry(_));
            assert_eq!(retried, failures.contains(&failure), "{word}: {failure:?}");
        }
    }
}

#[test]
fn safety() {
    use Outcome::{ConnectFailure, PerTryTimeout, RefusedStream, Reset, Status};
    use RetryReason as Retry;
    let policy = policy("5xx");
    for (outcome, sent, idempotent, replayable, retries, want) in [
        (Reset, true, false, true, 0, Err(StopReason::NotIdempotent)),
        (PerTryTimeout, true, false, true, 0, Err(StopReason::NotIdempotent)),
        (Reset, false, false, true, 0, Ok(Retry::Reset)),
        (PerTryTimeout, false, false, true, 0, Ok(Retry::PerTryTimeout)),
        (RefusedStream, true, false, true, 0, Ok(Retry::RefusedStream)),
        (ConnectFailure, false, false, true, 0, Ok(Retry::ConnectFailure)),
        // An answer came and the operator asked: as Envoy.
        (Status(503), true, false, true, 0, Ok(Retry::Status(503))),
        (Status(503), true, false, false, 0, Err(StopReason::NotReplayable)),
        (Reset, true, true, false, 0, Err(StopReason::NotReplayable)),
        (Reset, true, true, true, 1, Ok(Retry::Reset)),
        (Reset, true, true, true, 2, Err(StopReason::Exhausted)),
        (Reset, true, true, true, u32::MAX, Err(StopReason::Exhausted)),
    ] {
        let attempt = Attempt { outcome, sent, idempotent, replayable, retries };
        let want = want.map_or_else(RetryDecision::Stop, RetryDecision::Retry);
        assert_eq!(policy.decide(&attempt), want, "{attempt:?}");
    }
}

#[test]
fn methods() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(method.as_bytes()), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "PROPFIND", ""] {
        assert!(!is_idempotent(method.as_bytes()), "{method}");
    }
}

#[test]
fn back_off() {
    let backoff = Backoff::default();
    for (retry, bound_ms) in [(0, 0), (1, 25), (2, 75), (3, 175), (4, 250), (63, 250), (64, 250), (u32::MAX, 250)] {
        assert_eq!(backoff.delay_ns(retry, 0), 0, "{retry}");
        let most = backoff.delay_ns(retry, u64::MAX);
        assert!(most <= bound_ms * 1_000_000 && most + 1 >= bound_ms * 1_000_000, "{retry}: {most}");
        assert_eq!(backoff.delay_ns(retry, 1 << 63), bound_ms * 500_000, "{retry}");
    }
}

#[test]
fn budget() {
    let budget = RetryBudget::default();
    for (active, retries, want) in [
        (0, 0, true),
        (0, 2, true),
        (0, 3, false),
        (15, 3, false),
        (20, 3, true),
        (20, 4, false),
        (1000, 199, true),
        (1000, 200, false),
    ] {
        assert_eq!(budget.allows(active, retries), want, "{retries} of {active}");
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (100_u16..600).prop_map(Outcome::Status),
        Just(Outcome::ConnectFailure),
        Just(Outcome::Reset),
        Just(Outcome::RefusedStream),
        Just(Outcome::PerTryTimeout)
    ]
}

proptest! {
    /// Whatever the operator asks for, nothing is repeated that the upstream may have done.
    #[test]
    fn never_unsafe(
        chosen in proptest::collection::vec(any::<bool>(), WORDS.len()),
        outcome in outcome(),
        sent in any::<bool>(),
        idempotent in any::<bool>(),
        replayable in any::<bool>(),
        retries in 0_u32..4,
    ) {
        let words: Vec<&str> = WORDS.iter().zip(&chosen).filter_map(|(&word, &is)| is.then_some(word)).collect();
        let decision = policy(&words.join(",")).decide(&Attempt { outcome, sent, idempotent, replayable, retries });
        if let RetryDecision::Retry(_) = decision {
            let silent = matches!(outcome, Outcome::Reset | Outcome::PerTryTimeout);
            prop_assert!(retries < 2 && replayable);
            prop_assert!(!(silent && sent && !idempotent));
        }
    }
}
