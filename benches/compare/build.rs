//! Notes the compiler and the profile, which are two of a measurement's conditions.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let text = version.ok().and_then(|out| String::from_utf8(out.stdout).ok());
    println!("cargo::rustc-env=BENCH_RUSTC={}", text.as_deref().map_or("unknown", str::trim));
    // `PROFILE` only says what the profile inherits from; its own name is that of the folder, `<profile>/build/<package>/out`.
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let folder = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    println!("cargo::rustc-env=BENCH_PROFILE={}", folder.and_then(|name| name.to_str()).unwrap_or("unknown"));
}
