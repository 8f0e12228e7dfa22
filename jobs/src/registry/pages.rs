//! The listings of jobs and functions as pages.

use super::{JobDescription, OptionDescription};

/// Returns the reference page of `jobs`, in Markdown.
pub(super) fn reference_page(jobs: &[JobDescription]) -> String {
    let mut page = String::from(
        "# Jobs and their options\n\nThis page is made by `cambist jobs --markdown`; do not edit it by hand.\n\
         The key is that of a spec file and of `--set`.\n\
         The argument is that of `CALL` in SQL; where there are two, both mean the same.\n",
    );
    for job in jobs {
        page.push_str(&format!("\n## {}\n\n{}.\n\n", job.name, job.summary));
        page.push_str("| key | argument | type | default | what it does |\n|---|---|---|---|---|\n");
        for option in &job.options {
            let cells = [&option.kind, &option.default, &option.doc].map(|cell| cell.replace('|', "\\|"));
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                option.key,
                arguments(option),
                cells[0],
                cells[1],
                cells[2]
            ));
        }
    }
    page
}

fn arguments(option: &OptionDescription) -> String {
    let names: Vec<String> = option.argument_names().iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Returns the SQL functions that a job's SQL may use: signature and summary, which is the first line of
/// the function's documentation.
pub fn functions() -> Vec<(String, String)> {
    let listed = |function: cambist_udfs::sql::FunctionDescription| {
        let summary = function.doc.description.lines().next().unwrap_or_default().to_owned();
        (function.signature, summary)
    };
    cambist_udfs::sql::functions().into_iter().map(listed).collect()
}

/// Returns the reference page of the SQL functions, in Markdown.
pub fn function_reference_page() -> String {
    cambist_udfs::sql::reference_page()
}
