//! Which jobs there are.

use serde::Serialize;

/// One option of a job.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OptionDescription {
    /// Its key in a spec file, such as `source.url`.
    pub key: &'static str,
    /// Its type and unit, with what is allowed.
    pub kind: &'static str,
    /// What holds where it is not given.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

/// A registered job.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JobDescription {
    /// The name it is called by.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its options, in the order of its spec file.
    pub options: &'static [OptionDescription],
}

/// Returns every registered job.
pub fn jobs() -> Vec<JobDescription> {
    vec![crate::normalize::describe()]
}

/// Returns the job of that name, if there is one.
pub fn job(name: &str) -> Option<JobDescription> {
    jobs().into_iter().find(|job| job.name == name)
}

/// Returns the reference page of all jobs, in Markdown.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Jobs and their options\n\nThis page is made by `cambist jobs --markdown`; do not edit it by hand.\n",
    );
    for job in jobs() {
        page.push_str(&format!("\n## {}\n\n{}.\n\n", job.name, job.summary));
        page.push_str("| key | type | default | what it does |\n|---|---|---|---|\n");
        for option in job.options {
            let cells = [option.kind, option.default, option.doc].map(|cell| cell.replace('|', "\\|"));
            page.push_str(&format!("| `{}` | {} | {} | {} |\n", option.key, cells[0], cells[1], cells[2]));
        }
    }
    page
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
