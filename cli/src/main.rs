//! The `cambist` command.

use std::process::ExitCode;

use cambist::Extensions;

fn main() -> ExitCode {
    cambist::run(Extensions::new())
}
