//! The `cambist` command: parse, call one thing, print, choose an exit code.

mod arguments;
mod clock;
mod command;
mod duration;
mod environment;
mod job;
mod local_cluster;
mod output;
mod progress;
mod surroundings;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

/// Batches are allocated on one thread and freed on another, which glibc's allocator turns into memory
/// that only grows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    output::start_logging(arguments.verbose, arguments.command.is_server());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail_to_start(&error),
    };
    match runtime.block_on(command::run(arguments.command)) {
        Ok(code) => code,
        Err(error) => output::report_error(&error),
    }
}
