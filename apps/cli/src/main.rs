//! The program `stackwire`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stackwire_cli::main()
}
