//! A merge changes files and nothing else: what went in is compared with what came out.

use std::collections::BTreeMap;
use std::fmt;

use crate::exact_sum::{CurrencySums, ExactSum, merge_sums};
use crate::partition_writer::{ContentHash, Figures, WrittenFile};
use crate::table::LiveFile;

/// Figures by owner and partition.
pub type Owned = BTreeMap<(String, String), Figures>;

/// A partition whose rows are not the same after a merge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the merge of `{partition}` has changed {figure} from {before} to {after}, expected no change")]
pub struct Mismatch {
    /// The partition.
    pub partition: String,
    /// What differs.
    pub figure: &'static str,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// Returns the figures of files that belong to `owner`.
pub fn figures_of_written<'a>(files: impl IntoIterator<Item = (&'a str, &'a WrittenFile)>) -> Owned {
    let mut owned = Owned::new();
    for (owner, file) in files {
        let figures = owned.entry((owner.to_owned(), file.partition.clone())).or_default();
        figures.rows += file.rows;
        figures.content_hash.merge(file.content_hash);
        merge_sums(&mut figures.source_totals, &file.source_totals);
        merge_sums(&mut figures.totals, &file.totals);
    }
    owned
}

/// Returns the figures of live files as the log states them, by batch; nothing where the log's text is no
/// figure.
pub fn figures_of_live<'a>(files: impl IntoIterator<Item = &'a LiveFile>) -> Option<Owned> {
    let mut owned = Owned::new();
    for file in files {
        let figures = owned.entry((file.batch.clone(), file.partition().to_owned())).or_default();
        figures.rows += file.rows;
        figures.content_hash.merge(ContentHash::parse(&file.content_hash)?);
        merge_sums(&mut figures.source_totals, &parsed(&file.source_totals)?);
        merge_sums(&mut figures.totals, &parsed(&file.totals)?);
    }
    Some(owned)
}

fn parsed(texts: &BTreeMap<String, String>) -> Option<CurrencySums> {
    texts.iter().map(|(code, text)| Some((code.clone(), ExactSum::parse(text)?))).collect()
}

/// Compares what went into a merge with what came out.
///
/// # Errors
/// The first difference.
pub fn check(before: &Owned, after: &Owned) -> Result<(), Mismatch> {
    let nothing = Figures::default();
    for key in before.keys().chain(after.keys()) {
        let was = before.get(key).unwrap_or(&nothing);
        let is = after.get(key).unwrap_or(&nothing);
        let differs = |figure, before: &dyn fmt::Display, after: &dyn fmt::Display| Mismatch {
            partition: key.1.clone(),
            figure,
            before: before.to_string(),
            after: after.to_string(),
        };
        if was.rows != is.rows {
            return Err(differs("the number of rows", &was.rows, &is.rows));
        }
        if was.content_hash != is.content_hash {
            return Err(differs("the content hash", &was.content_hash, &is.content_hash));
        }
        for (figure, was, is) in [
            ("the source totals", &was.source_totals, &is.source_totals),
            ("the totals", &was.totals, &is.totals),
        ] {
            if was != is {
                return Err(differs(figure, &shown(was), &shown(is)));
            }
        }
    }
    Ok(())
}

fn shown(sums: &CurrencySums) -> String {
    let shown: Vec<String> = sums.iter().map(|(code, sum)| format!("{code} {sum}")).collect();
    shown.join(", ")
}
