//! The reference page of the functions, made from their own documentation.

use std::fmt::{self, Write};

use super::registry::{FunctionDescription, FunctionKind, functions};

const HEAD: &str = "# SQL functions

Amounts are exact decimals and never pass through a float.
The `fx_` functions look rates up in the rate book that is bound to the session; without one they refuse when the query is planned.
A row that cannot be computed fails the query and names the value and its reason; the `try_` functions give NULL instead.
The examples are over rates of 2024-05-03 by which 1 EUR is 0.8575 GBP and 89.60 INR.
";

/// Returns the reference page of all functions as Markdown, one sentence per line.
pub fn reference_page() -> String {
    let functions = functions();
    let mut page = HEAD.to_owned();
    // Writing to a text does not fail.
    let written = write_list(&mut page, &functions)
        .and_then(|()| functions.iter().try_for_each(|function| write_function(&mut page, function)));
    debug_assert!(written.is_ok(), "the page is a text in memory");
    page
}

fn write_list(page: &mut String, functions: &[FunctionDescription]) -> fmt::Result {
    writeln!(page, "\n| function | computes |\n|---|---|")?;
    for function in functions {
        let computes = function.doc.description.lines().next().unwrap_or_default();
        writeln!(page, "| [`{0}`](#{0}) | {1} |", function.name, computes)?;
    }
    Ok(())
}

fn write_function(page: &mut String, function: &FunctionDescription) -> fmt::Result {
    let kind = match function.kind {
        FunctionKind::Scalar => "scalar",
        FunctionKind::Aggregate => "aggregate",
    };
    writeln!(
        page,
        "\n## {}\n\n`{}` – {kind}\n\n{}",
        function.name,
        function.signature,
        function.doc.description.trim_end()
    )?;
    writeln!(page, "\n| argument | accepts |\n|---|---|")?;
    for (name, text) in function.doc.arguments.iter().flatten() {
        writeln!(page, "| `{name}` | {text} |")?;
    }
    match &function.doc.sql_example {
        Some(example) => writeln!(page, "\n{example}"),
        None => Ok(()),
    }
}
