//! Host lookup against a plain reading of the rule: exact, longest `*.suffix`, longest `prefix.*`, `*`.

use proptest::prelude::*;
use sluice_route::{DomainError, DomainMap};

fn oracle(domains: &[String], host: &str) -> Option<usize> {
    let wild = |strip: fn(&str) -> Option<&str>, fits: fn(&str, &str) -> bool| {
        let fitting = domains
            .iter()
            .enumerate()
            .filter_map(|(n, domain)| Some((n, strip(domain)?)))
            .filter(|(_, part)| !part.is_empty() && host.len() > part.len() && fits(host, part));
        // The longest, and of equal ones the first.
        fitting.fold(None, |best: Option<(usize, &str)>, (n, part)| match best {
            Some((_, longest)) if longest.len() >= part.len() => best,
            _ => Some((n, part)),
        })
    };
    domains
        .iter()
        .position(|domain| domain == host && !domain.contains('*'))
        .or_else(|| wild(|d| d.strip_prefix('*'), |host, part| host.ends_with(part)).map(|(n, _)| n))
        .or_else(|| wild(|d| d.strip_suffix('*'), |host, part| host.starts_with(part)).map(|(n, _)| n))
        .or_else(|| domains.iter().position(|domain| domain == "*"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_rule(
        domains in proptest::collection::vec(
            prop_oneof!["[ab](\\.[ab]){0,3}", "\\*(\\.[ab]){1,3}", "([ab]\\.){1,3}\\*", "\\*", "\\*-[ab]\\.a"], 0..16),
        hosts in proptest::collection::vec("[ab-]?(\\.?[ab]){0,4}", 1..8),
    ) {
        let (map, errors) = DomainMap::compile(domains.iter().enumerate().map(|(n, domain)| (domain, n)));
        for (index, error) in &errors {
            prop_assert_eq!(error, &DomainError::Duplicate(domains[*index].clone()));
            prop_assert!(domains[..*index].contains(&domains[*index]));
        }
        for host in &hosts {
            prop_assert_eq!(map.get(host.as_bytes()).copied(), oracle(&domains, host), "{}", host);
        }
    }
}

#[test]
fn examples() {
    let domains = ["a.example.com", "*.example.com", "*.com", "a.*", "*", "A.example.com", "a*b", "*x*", ""];
    let (map, errors) = DomainMap::compile(domains.iter().enumerate().map(|(n, domain)| (domain, n)));
    let get = |host: &str| map.get(host.as_bytes()).copied();
    assert_eq!(get("a.example.com"), Some(0));
    assert_eq!(get("b.c.example.com"), Some(1));
    assert_eq!(get("example.com"), Some(2));
    assert_eq!(get(".example.com"), Some(2));
    assert_eq!(get("a.org"), Some(3));
    assert_eq!(get("b.org"), Some(4));
    assert_eq!(get(""), Some(4));
    assert_eq!(map.fallback(), Some(&4));
    assert_eq!(errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [5, 6, 7, 8]);
}
