//! From the command line to the exit code.

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::extensions::Extensions;
use crate::{command, output};

/// Batches are allocated on one thread and freed on another, which glibc's allocator turns into memory
/// that only grows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a thread's stack may grow to: plans of statements are trees, which are worked on by recursion.
const STACK_BYTES: usize = 16 << 20;

/// Parses the command line, runs its one command, and returns the exit code.
pub fn run(extensions: Extensions) -> ExitCode {
    let arguments = Arguments::parse();
    output::start_logging(arguments.verbose, arguments.command.is_server());
    if let Err(error) = extensions.install(arguments.command.jobs_folder()) {
        return output::report_error(&error);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.thread_stack_size(STACK_BYTES).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail_to_start(&error),
    };
    match runtime.block_on(command::run(arguments.command)) {
        Ok(code) => code,
        Err(error) => output::report_error(&error),
    }
}
