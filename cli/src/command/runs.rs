//! `cambist runs list|show|watch|cancel`.

use std::process::ExitCode;

use cambist_jobs::error::{JobError, Result};
use cambist_scheduler::client::Client;
use cambist_scheduler::http::RunQuery;
use cambist_scheduler::service::{RunState, RunView};

use crate::arguments::{ClusterArgument, RunsCommand};
use crate::job::{CtrlC, Followed, Outcome, follow, listen, print};
use crate::{environment, job, output};

pub(super) async fn run(command: RunsCommand) -> Result<ExitCode> {
    match command {
        RunsCommand::List { cluster, state, limit, json } => {
            list(&connect(&cluster)?, state.as_deref(), limit, json).await
        }
        RunsCommand::Show { id, cluster, json } => {
            let view = connect(&cluster)?.run(&id).await?;
            if json {
                output::json(&view)?;
            } else {
                output::line(&described(&view))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        RunsCommand::Watch { id, cluster, json } => watch(&connect(&cluster)?, &id, json).await,
        RunsCommand::Cancel { id, cluster } => {
            output::json(&connect(&cluster)?.cancel(&id).await?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn connect(cluster: &ClusterArgument) -> Result<Client> {
    match cluster.cluster.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => job::connect(url),
        None => Err(JobError::usage(format!(
            "no cluster is named: give --cluster such as `http://127.0.0.1:8090`, or set {}",
            environment::CLUSTER
        ))),
    }
}

async fn list(client: &Client, state: Option<&str>, limit: u16, json: bool) -> Result<ExitCode> {
    let query =
        RunQuery { state: state.map(parse_state).transpose()?, limit: Some(limit), ..RunQuery::default() };
    let runs = client.runs(&query).await?.runs;
    if json {
        runs.iter().try_for_each(output::json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        output::note("no runs");
    }
    for view in &runs {
        output::line(&row(view))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_state(text: &str) -> Result<RunState> {
    let names = RunState::ALL.map(RunState::as_str);
    let found = RunState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| JobError::usage(format!("--state is `{text}`, expected one of {}", names.join(", "))))
}

async fn watch(client: &Client, id: &str, is_quiet: bool) -> Result<ExitCode> {
    let view = client.run(id).await?;
    let mut wishes = listen(CtrlC::Leaves)?;
    let outcome = match follow(client, view, &mut wishes, is_quiet).await? {
        Followed::Report(report) => Outcome::Report(report),
        Followed::Detached(view) => {
            output::json(&view)?;
            return Ok(ExitCode::SUCCESS);
        }
        Followed::Cancelled(signal) => Outcome::Cancelled { id: id.to_owned(), signal },
    };
    print(&outcome, is_quiet)
}

/// One run in one line.
fn row(view: &RunView) -> String {
    let text = format!(
        "{}  {:<10}  {:<10}  submitted {}  {:>8.1} s  {}",
        view.id,
        view.job,
        view.state.as_str(),
        view.submitted_at,
        view.elapsed_seconds,
        standing(view)
    );
    text.trim_end().to_owned()
}

/// What a run does now, or why it does nothing.
fn standing(view: &RunView) -> String {
    if let Some(error) = &view.error {
        return error.message.lines().next().unwrap_or_default().chars().take(120).collect();
    }
    if let Some(reason) = &view.waiting {
        return format!("queued: {reason}");
    }
    if view.state.is_terminal() {
        return String::new();
    }
    let mut text = view.stage.clone().unwrap_or_default();
    if view.tasks_total > 0 {
        text.push_str(&format!("  {} of {} tasks", view.tasks_done, view.tasks_total));
    }
    text
}

/// One run in several lines.
fn described(view: &RunView) -> String {
    let mut lines = vec![
        ("run", view.id.clone()),
        ("job", view.job.clone()),
        ("state", view.state.as_str().to_owned()),
        ("attempt", view.attempt.to_string()),
        ("submitted", view.submitted_at.clone()),
    ];
    let more = [("started", &view.started_at), ("finished", &view.finished_at), ("stage", &view.stage)];
    lines.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    lines.extend(view.waiting.as_ref().map(|reason| ("queued", reason.clone())));
    if view.tasks_total > 0 {
        lines.push(("tasks", format!("{} of {}", view.tasks_done, view.tasks_total)));
        lines.push(("bytes", format!("{} of {}", view.bytes_done, view.bytes_total)));
        lines.push(("records", view.records_done.to_string()));
    }
    lines.push(("elapsed", format!("{:.1} s", view.elapsed_seconds)));
    lines.extend(view.remaining_seconds.map(|seconds| ("left", format!("about {seconds:.0} s"))));
    let mut text: Vec<String> = lines.iter().map(|(name, value)| format!("{name:<10}{value}")).collect();
    if let Some(error) = &view.error {
        text.push(format!("{:<10}{}", "error", error.message));
        text.extend(error.causes.iter().map(|cause| format!("{:<10}{cause}", "caused by")));
        text.extend(error.hint.iter().map(|hint| format!("{:<10}{hint}", "hint")));
    }
    if let Some(report) = &view.report {
        text.push(job::summary_of(report));
    }
    text.join("\n")
}
