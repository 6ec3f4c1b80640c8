//! Nanoseconds per match at several table sizes: `cargo run --release -p sluice-route --example cost`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;

use sluice_route::{
    DomainMap, NoHeaders, PathMatcher, PathMatcherKind, Request, RouteMatcher, RouteTable, StringMatcher,
    StringMatcherKind,
};

const ROUNDS: usize = 2_000_000;

/// A path as large gateways have them, with much in common and no order.
fn path(n: usize) -> String {
    format!("/team-{}/service-{}/v{}/", n % 97, n.wrapping_mul(7919) % 100_003, n % 3)
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn nanoseconds(mut work: impl FnMut(usize)) -> f64 {
    let best = (0..3).map(|_| {
        let start = std::time::Instant::now();
        (0..ROUNDS).for_each(&mut work);
        start.elapsed().as_nanos() as f64 / ROUNDS as f64
    });
    best.fold(f64::INFINITY, f64::min)
}

fn table(size: usize, kind: PathMatcherKind, headers: bool) -> f64 {
    let mut routes: Vec<_> = (0..size).map(|n| RouteMatcher::path(PathMatcher::new(kind, path(n)))).collect();
    if headers {
        for route in &mut routes {
            route.method = Some(StringMatcher::new(StringMatcherKind::Exact, "GET"));
        }
    }
    routes.push(RouteMatcher::path(PathMatcher::new(PathMatcherKind::Prefix, "/")));
    let (table, _) = RouteTable::compile(&routes);
    let tail = if kind == PathMatcherKind::Exact { "" } else { "items/42" };
    let paths: Vec<_> = (0..size.min(1024)).map(|n| path(n * size / size.min(1024)) + tail).collect();
    nanoseconds(|n| {
        let path = paths[n % paths.len()].as_bytes();
        let request = Request { method: b"GET", host: b"example.com", path, query: None, headers: &NoHeaders };
        black_box(table.find(black_box(&request), 0));
    })
}

fn domains(size: usize) -> f64 {
    let names: Vec<_> = (0..size)
        .map(|n| if n % 4 == 0 { format!("*.t{n}.example.com") } else { format!("h{n}.example.com") })
        .collect();
    let (map, _) = DomainMap::compile(names.iter().enumerate().map(|(n, name)| (name, n)));
    let hosts: Vec<_> = names.iter().map(|name| name.replace('*', "www")).collect();
    nanoseconds(|n| {
        black_box(map.get(black_box(hosts[n % hosts.len()].as_bytes())));
    })
}

fn main() -> std::io::Result<()> {
    let mut out = String::new();
    for size in [10, 1_000, 10_000] {
        let _ = writeln!(
            out,
            "{size:>6}: prefix {:.0} ns, prefix and method {:.0} ns, exact {:.0} ns, host {:.0} ns",
            table(size, PathMatcherKind::Prefix, false),
            table(size, PathMatcherKind::Prefix, true),
            table(size, PathMatcherKind::Exact, false),
            domains(size),
        );
    }
    std::io::stdout().write_all(out.as_bytes())
}
