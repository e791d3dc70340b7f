//! Compiles the `.proto` files with a compiler written in Rust: no protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["handshake.proto", "sealed.proto"], ["proto"])?;
    // An opened message lends its parts instead of copying them.
    prost_build::Config::new().bytes([".stackwire.sealed"]).compile_fds(files)?;
    Ok(())
}
