//! The program `stackwire-bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stackwire_bench::main()
}
