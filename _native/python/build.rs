//! Hands facts of the build to the crate.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=SLUICE_RUSTC={}", version.trim());
    let target = std::env::var_os("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=SLUICE_TARGET={}", target.to_string_lossy());
    println!("cargo::rerun-if-changed=build.rs");
}
