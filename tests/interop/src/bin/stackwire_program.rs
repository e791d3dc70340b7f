//! The program `stackwire`, as its own crate makes it: built here so that the tests of this crate find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stackwire_cli::main()
}
