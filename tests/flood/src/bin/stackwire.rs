//! The program `stackwire`, built beside the tests that flood it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stackwire_cli::main()
}
