use proptest::prelude::*;
use sluice_policy::content_coding::{Coding, Negotiated, negotiate};

const BR: Negotiated = Negotiated::Coding(Coding::Brotli);
const ZSTD: Negotiated = Negotiated::Coding(Coding::Zstd);
const GZIP: Negotiated = Negotiated::Coding(Coding::Gzip);
const IDENTITY: Negotiated = Negotiated::Identity;
const NOTHING: Negotiated = Negotiated::Nothing;

fn of(fields: &[&str]) -> Negotiated {
    negotiate(&fields.iter().map(|field| field.as_bytes()), &Coding::PREFERENCE)
}

#[test]
fn table() {
    for (field, want) in [
        ("", IDENTITY),
        ("gzip", GZIP),
        ("GZip", GZIP),
        ("x-gzip", GZIP),
        ("gzip, deflate, br", BR),
        ("gzip, deflate, br, zstd", BR),
        ("gzip,zstd", ZSTD),
        ("deflate", IDENTITY),
        ("compress, gzip", GZIP),
        ("*", BR),
        ("gzip;q=1.0, br;q=0.5", GZIP),
        ("gzip; q=0.5 , br ;Q=0.501", BR),
        ("br;q=0, *", ZSTD),
        ("*;q=0.5, gzip", GZIP),
        ("*;q=0", NOTHING),
        ("identity;q=0", NOTHING),
        ("identity;q=0, deflate", NOTHING),
        ("identity;q=0, gzip", GZIP),
        ("*;q=0, identity", IDENTITY),
        ("*;q=0, identity;q=0.5, gzip;q=0.1", IDENTITY),
        ("identity, gzip;q=0.5", IDENTITY),
        ("identity, gzip", GZIP),
        ("identity;q=0.5, *;q=0", IDENTITY),
        ("gzip;q=0", IDENTITY),
        ("gzip;q=0.000", IDENTITY),
        ("gzip;q=0.001", GZIP),
        // Malformed elements are left out.
        ("gzip;q=1.001", IDENTITY),
        ("gzip;q=2", IDENTITY),
        ("gzip;q=0.1234", IDENTITY),
        ("gzip;q=.5", IDENTITY),
        ("gzip;q=-1", IDENTITY),
        ("gzip;q=0.x", IDENTITY),
        ("gzip;level=9", IDENTITY),
        ("gzip;q=1;q=0", IDENTITY),
        ("gzip br", IDENTITY),
        (",, ,gzip,", GZIP),
        ("gzip;q=1., br;q=0.", GZIP),
        ("br;q=0, br", BR),
    ] {
        assert_eq!(of(&[field]), want, "{field:?}");
    }
    assert_eq!(of(&[]), IDENTITY, "no field");
    assert_eq!(of(&["gzip;q=0.5", "zstd"]), ZSTD, "two lines");
}

#[test]
fn the_order_of_preference_is_the_servers() {
    let field = &[&b"gzip, br, zstd"[..]];
    let with = |preference: &[Coding]| negotiate(&field.iter().copied(), preference);
    assert_eq!(with(&[Coding::Gzip, Coding::Brotli]), GZIP);
    assert_eq!(with(&[Coding::Zstd]), ZSTD);
    assert_eq!(with(&[]), IDENTITY);
    assert_eq!([Coding::Brotli, Coding::Zstd, Coding::Gzip].map(Coding::name), ["br", "zstd", "gzip"]);
}

proptest! {
    #[test]
    fn any_bytes_are_judged(field in proptest::collection::vec(any::<u8>(), 0..80)) {
        negotiate(&std::iter::once(&field[..]), &Coding::PREFERENCE);
    }

    /// Against the definition: the largest weight wins, then the order of preference; a name beats the star.
    #[test]
    fn equals_the_definition(weights in proptest::collection::vec(proptest::option::of(0_u16..=10), 5)) {
        let names = ["br", "zstd", "gzip", "identity", "*"];
        let element = |(name, weight): (&str, &Option<u16>)| {
            weight.map(|weight| format!("{name};q={}.{}", weight / 10, weight % 10))
        };
        let field: Vec<String> = names.into_iter().zip(&weights).filter_map(element).collect();
        let of = |at: usize| weights[at].or(weights[4]).unwrap_or(0);
        let best = (0..3).rev().max_by_key(|&at| of(at)).unwrap();
        let coding = [BR, ZSTD, GZIP][best];
        let want = if of(best) > 0 && of(best) >= weights[3].unwrap_or(0) {
            coding
        } else if of(best) == 0 && weights[3].or(weights[4]) == Some(0) {
            NOTHING
        } else {
            IDENTITY
        };
        prop_assert_eq!(negotiate(&std::iter::once(field.join(", ").as_bytes()), &Coding::PREFERENCE), want);
    }
}
