//! Names every dependency in a `use … as _;`, without which Rust would not link it and nothing would register.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=build.rs");
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest)?.parse()?;
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).ok_or("no [dependencies]")?;
    let lines: String = dependencies.keys().map(|name| format!("use {} as _;\n", name.replace('-', "_"))).collect();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("plugins.rs"), lines)?;
    Ok(())
}
