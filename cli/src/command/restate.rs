//! `cambist restate`: the friendly form of `cambist run restate`.

use std::process::ExitCode;

use cambist_jobs::error::Result;
use cambist_jobs::restate::{KnownSpec, RestateOutputSpec, RestateRunSpec, RestateSpec};

use crate::arguments::RestateArguments;
use crate::job;

pub(super) async fn run(arguments: RestateArguments) -> Result<ExitCode> {
    let spec = RestateSpec {
        materiality: arguments.materiality,
        output: RestateOutputSpec { url: Some(arguments.output) },
        known: KnownSpec { from: arguments.from_known, to: arguments.to_known },
        run: RestateRunSpec { batches: arguments.batches, dry_run: arguments.dry_run.then_some(true) },
    };
    let outcome = job::execute("restate", spec.to_options()?, &arguments.place, arguments.json).await?;
    job::print(&outcome, arguments.json)
}
