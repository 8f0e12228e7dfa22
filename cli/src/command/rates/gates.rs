//! The flags of the gates, checked.

use cambist_jobs::error::Result;
use cambist_jobs::rates::{GateMode, WriterOptions, parse_limits};

use crate::arguments::{GateArguments, GateChoice};

/// Returns how what is written to a ledger is judged.
pub(super) fn writer_options(arguments: &GateArguments) -> Result<WriterOptions> {
    let gates = match arguments.gates {
        GateChoice::Hold => GateMode::Hold,
        GateChoice::Report => GateMode::Report,
        GateChoice::Off => GateMode::Off,
    };
    let options = parse_limits(&arguments.limits.limits)?;
    Ok(WriterOptions { gates, options, against: arguments.limits.against.clone() })
}
