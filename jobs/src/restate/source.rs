//! The files that a batch was run from: they must still be what they were.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::files::Files;
use cambist_engine::store::Stores;

use super::survey::SurveyedBatch;
use crate::error::{JobError, Result};
use crate::normalize::{FoundInputs, InputFile, input_file};

/// Finds the batch's files. Others that came to the same place since are not the batch's.
///
/// # Errors
/// A data error that names the file, where one is gone or has changed.
pub(super) async fn find(stores: &Stores, batch: &SurveyedBatch) -> Result<FoundInputs> {
    let mut found = FoundInputs::list(stores, &batch.config).await?;
    keep(&mut found.source, &batch.inputs.source, &batch.name)?;
    for (name, files) in &mut found.tables {
        let recorded = batch.inputs.tables.get(name).map(Vec::as_slice).unwrap_or_default();
        let before = files.objects.len();
        keep(files, recorded, &batch.name)?;
        // A small table is read whole, by its place.
        if files.objects.len() != before {
            return Err(JobError::data(format!(
                "the table `{name}` of batch `{}` has {before} files, its run read {}",
                batch.name,
                recorded.len()
            ))
            .with_hint(HINT));
        }
    }
    Ok(found)
}

const HINT: &str = "restore the file, or run the batch again with `cambist normalize`";

/// Keeps the recorded files of those that were found.
fn keep(files: &mut Files, recorded: &[InputFile], batch: &str) -> Result<()> {
    let now: BTreeMap<String, InputFile> = files
        .objects
        .iter()
        .map(|object| input_file(files, object))
        .map(|file| (file.location.clone(), file))
        .collect();
    for was in recorded {
        let refused = |detail: String| {
            Err(JobError::data(format!("the file `{}` of batch `{batch}` {detail}", was.location))
                .with_hint(HINT))
        };
        match now.get(&was.location) {
            None => return refused("is gone".to_owned()),
            Some(is) if is.bytes != was.bytes => {
                return refused(format!("has {} bytes, its run read {}", is.bytes, was.bytes));
            }
            Some(is) if is.version != was.version => {
                return refused(format!(
                    "has changed: it is version {}, its run read {}",
                    is.version, was.version
                ));
            }
            Some(_) => {}
        }
    }
    let wanted: BTreeSet<&str> = recorded.iter().map(|file| file.location.as_str()).collect();
    let place = files.root.clone();
    files
        .objects
        .retain(|object| wanted.contains(place.with_path(object.location.clone()).absolute().as_str()));
    Ok(())
}
