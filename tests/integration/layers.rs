//! Crates depend on each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::workspace;

/// Which crates of ours each crate may use. `cambist-tests` and `cambist-benches` may use any library.
const EDGES: &[(&str, &[&str])] = &[
    (
        "cambist",
        &[
            "cambist-executor",
            "cambist-flight",
            "cambist-ingest",
            "cambist-jobs",
            "cambist-scheduler",
            "cambist-sql",
        ],
    ),
    ("cambist-scheduler", &["cambist-engine", "cambist-flight", "cambist-jobs", "cambist-sql"]),
    ("cambist-flight", &["cambist-engine", "cambist-sql"]),
    ("cambist-sql", &["cambist-engine", "cambist-jobs", "cambist-udfs"]),
    ("cambist-executor", &["cambist-engine"]),
    ("cambist-jobs", &["cambist-engine", "cambist-udfs"]),
    ("cambist-ingest", &["cambist-engine", "cambist-udfs"]),
    ("cambist-engine", &["cambist-udfs"]),
    ("cambist-udfs", &[]),
];

/// Nothing uses these, but the examples the program.
const TOPS: &[&str] = &["cambist", "cambist-tests", "cambist-benches"];

/// Programs of one's own, as a user would write them.
const EXAMPLES: &[(&str, &[&str])] = &[("cambist-custom-job", &["cambist", "cambist-jobs"])];

/// Every crate of ours with those of ours that it uses, and how.
fn edges() -> Result<BTreeMap<String, BTreeSet<(String, String)>>> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace())
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()?;
    let ours: BTreeSet<String> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let uses = |package: &&cargo_metadata::Package| {
        let uses = package.dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str()));
        let uses =
            uses.map(|dependency| (dependency.name.to_string(), kind(dependency.kind).to_owned())).collect();
        (package.name.to_string(), uses)
    };
    Ok(metadata.workspace_packages().iter().map(uses).collect())
}

fn kind(kind: DependencyKind) -> &'static str {
    match kind {
        DependencyKind::Development => "dev",
        DependencyKind::Build => "build",
        _ => "normal",
    }
}

#[test]
fn crates_use_only_the_layer_below() -> Result<()> {
    for (package, uses) in edges()? {
        let allowed = match EDGES.iter().chain(EXAMPLES).find(|(name, _)| *name == package) {
            Some((_, allowed)) => *allowed,
            None => {
                let is_top = TOPS.contains(&package.as_str());
                assert!(is_top, "crate `{package}` is not in the table of layers");
                continue;
            }
        };
        for (used, _) in uses {
            assert!(allowed.contains(&used.as_str()), "`{package}` uses `{used}`, expected only {allowed:?}");
        }
    }
    Ok(())
}

#[test]
fn nothing_uses_the_program_the_tests_or_the_benches() -> Result<()> {
    let is_example = |package: &String| EXAMPLES.iter().any(|(name, _)| name == package);
    for (package, uses) in edges()?.into_iter().filter(|(package, _)| !is_example(package)) {
        for (used, how) in uses {
            assert!(!TOPS.contains(&used.as_str()), "`{package}` uses `{used}` ({how})");
        }
    }
    Ok(())
}

#[test]
fn every_drawn_layer_exists() -> Result<()> {
    let edges = edges()?;
    for (package, _) in EDGES.iter().chain(EXAMPLES) {
        edges.get(*package).with_context(|| format!("no crate `{package}`"))?;
    }
    Ok(())
}

/// The inner ring of `udfs` is plain Rust: a file that speaks of Arrow belongs to the ring around it.
#[test]
fn money_knows_no_arrow_no_files_and_no_clock() -> Result<()> {
    const FOREIGN: &[&str] = &[
        "arrow::",
        "datafusion::",
        "tokio::",
        "std::fs",
        "std::net",
        "SystemTime",
        "Timestamp::now",
        "f64",
        "f32",
    ];
    let inner = ["currency", "rate", "convert", "decimal.rs", "rounding.rs", "reason.rs", "convert.rs"];
    let source = workspace().join("udfs/src");
    for (path, text) in crate::files::rust_files(&source)? {
        let relative = path.strip_prefix(&source)?;
        let is_inner = relative.iter().next().is_some_and(|first| inner.iter().any(|name| first == *name));
        let is_test = relative.iter().any(|part| part.to_string_lossy().starts_with("tests"));
        if !is_inner || is_test {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            let foreign = FOREIGN.iter().find(|word| line.contains(**word));
            assert!(foreign.is_none(), "{}: `{}`", path.display(), line.trim());
        }
    }
    Ok(())
}
