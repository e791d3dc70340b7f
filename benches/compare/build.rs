//! Notes the compiler, which is one of a measurement's conditions.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let text = version.ok().and_then(|out| String::from_utf8(out.stdout).ok());
    println!("cargo::rustc-env=BENCH_RUSTC={}", text.as_deref().map_or("unknown", str::trim));
}
