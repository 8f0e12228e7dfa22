//! `cambist cluster up|down|status`.

use std::process::ExitCode;
use std::time::Duration;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use serde_json::json;

use crate::arguments::{ClusterCommand, ClusterDownArguments, ClusterStatusArguments, ClusterUpArguments};
use crate::local_cluster::{ClusterFolder, ClusterPlan, start, stop};
use crate::{job, output};

pub(super) async fn run(command: ClusterCommand) -> Result<ExitCode> {
    match command {
        ClusterCommand::Up(arguments) => up(arguments).await,
        ClusterCommand::Down(arguments) => down(&arguments).await,
        ClusterCommand::Status(arguments) => status(&arguments).await,
    }
}

async fn up(arguments: ClusterUpArguments) -> Result<ExitCode> {
    let folder = ClusterFolder::take(ClusterFolder::path_of(arguments.folder.dir.as_deref())?)?;
    if let Some(found) = ClusterFolder::read(folder.path())? {
        let alive = found.processes().filter(|process| process.is_alive()).count();
        if alive > 0 {
            return Err(JobError::usage(format!(
                "a cluster of `{}` runs already at {}, {alive} of its {} processes",
                folder.path().display(),
                found.url,
                found.processes().count()
            ))
            .with_hint("`cambist cluster down` stops it; `--dir` keeps several apart"));
        }
    }
    let cluster = start(&folder, &ClusterPlan::from(arguments)).await?;
    output::json(&json!({
        "url": cluster.url,
        "executors": cluster.executors.len(),
        "dir": folder.path(),
    }))?;
    Ok(ExitCode::SUCCESS)
}

async fn down(arguments: &ClusterDownArguments) -> Result<ExitCode> {
    let path = ClusterFolder::path_of(arguments.folder.dir.as_deref())?;
    let found = if path.exists() {
        let folder = ClusterFolder::take(path)?;
        ClusterFolder::read(folder.path())?.map(|cluster| (folder, cluster))
    } else {
        None
    };
    let Some((folder, cluster)) = found else {
        output::json(&json!({"stopped": 0, "killed": 0}))?;
        return Ok(ExitCode::SUCCESS);
    };
    let stopped = cluster.processes().filter(|process| process.is_alive()).count();
    let killed = stop(&folder, &cluster, Duration::from_secs(arguments.timeout)).await?;
    output::json(&json!({"stopped": stopped, "killed": killed}))?;
    Ok(ExitCode::SUCCESS)
}

async fn status(arguments: &ClusterStatusArguments) -> Result<ExitCode> {
    let path = ClusterFolder::path_of(arguments.folder.dir.as_deref())?;
    let Some(cluster) = ClusterFolder::read(&path)? else {
        return Err(JobError::new(ErrorKind::NotReady, format!("no cluster of `{}` runs", path.display()))
            .with_hint("`cambist cluster up` starts one"));
    };
    let describe = |process: &crate::local_cluster::Process| json!({"pid": process.pid, "is_alive": process.is_alive(), "log": process.log});
    let is_whole = cluster.processes().all(|process| process.is_alive());
    let registered = match cluster.scheduler.is_alive() {
        true => job::connect(&cluster.url)?.executors().await?,
        false => Vec::new(),
    };
    output::json(&json!({
        "url": cluster.url,
        "dir": path,
        "scheduler": describe(&cluster.scheduler),
        "executors": cluster.executors.iter().map(describe).collect::<Vec<_>>(),
        "registered": registered,
    }))?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(ErrorKind::Infrastructure.exit_code()) })
}
