//! Which batches a correction touches: for each the rates it was run with against those known now.

use std::collections::{BTreeMap, HashMap, HashSet};

use cambist_engine::rates::{LoadedRates, RateFolder};
use cambist_engine::store::Stores;
use cambist_engine::table::{BatchState, TableState};
use cambist_udfs::rate::{InstantMicros, RateBook};

use super::options::RestateConfig;
use super::touch::{BatchRows, Touch};
use crate::error::{JobError, Result};
use crate::input::of_rates;
use crate::normalize::{NormalizeConfig, NormalizeSpec, RULES_VERSION, RunDetails, RunInputs};

/// A batch as its last run left it.
pub(super) struct SurveyedBatch {
    pub(super) name: String,
    /// The commit that it stands at.
    pub(super) base: u64,
    pub(super) details: RunDetails,
    pub(super) inputs: RunInputs,
    /// The options of its run, with the instant as of which rates are to be known now.
    pub(super) config: NormalizeConfig,
    /// The instant as of which its run knew the rates.
    pub(super) known: InstantMicros,
    pub(super) touch: Touch,
}

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    /// Batches that were looked at.
    pub(super) compared: u64,
    /// Batches that know more already.
    pub(super) ahead: u64,
    /// Batches whose rows may come out otherwise, by name.
    pub(super) touched: Vec<SurveyedBatch>,
    /// The rates known now, by where they lie and how they are used.
    pub(super) rates: HashMap<BookKind, LoadedRates>,
}

/// Books of one folder by one set of rules.
pub(super) type BookKind = (String, String, Option<u32>);

/// Returns what tells the books that `config` asks for from others.
pub(super) fn book_kind(config: &NormalizeConfig) -> BookKind {
    (config.rates_url.clone(), config.rates_mode.clone(), config.max_age_days)
}

/// Looks at the batches that `config` names; rates are to be known as of `known_to`.
pub(super) async fn survey(
    stores: &Stores,
    state: &TableState,
    config: &RestateConfig,
    known_to: InstantMicros,
) -> Result<Survey> {
    let mut survey = Survey::default();
    // Batches of one night share their books; others must not all be in memory at once.
    let mut by_book: BTreeMap<(BookKind, InstantMicros), Vec<SurveyedBatch>> = BTreeMap::new();
    for (name, batch) in chosen(state, config)? {
        survey.compared += 1;
        let batch = read(name, batch, known_to)?;
        if batch.known > known_to {
            survey.ahead += 1;
        } else {
            by_book.entry((book_kind(&batch.config), batch.known)).or_default().push(batch);
        }
    }
    let mut folders = Folders { stores, read: HashMap::new() };
    for ((kind, known), batches) in by_book {
        let Some(first) = batches.first() else { continue };
        let before = folders.load(&first.config, known).await?;
        if !survey.rates.contains_key(&kind) {
            survey.rates.insert(kind.clone(), folders.load(&first.config, known_to).await?);
        }
        let Some(after) = survey.rates.get(&kind).map(|rates| rates.book.clone()) else { continue };
        let from = match config.known_from.filter(|from| *from > known) {
            Some(from) => Some(folders.load(&first.config, from).await?),
            None => None,
        };
        for mut batch in batches {
            check_rates(&batch, &before)?;
            let rows = BatchRows::of(state, &batch.name, &batch.details)?;
            if let (Some(from), Some(instant)) = (&from, config.known_from) {
                refuse_earlier(&batch, &rows.touched_by(&before.book, &from.book), instant)?;
            }
            batch.touch = rows.touched_by(&before.book, &after);
            if !batch.touch.is_nothing() {
                survey.touched.push(batch);
            }
        }
    }
    survey.touched.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(survey)
}

/// Folders of rates, each read once however many instants are asked for.
struct Folders<'a> {
    stores: &'a Stores,
    read: HashMap<String, RateFolder>,
}

impl Folders<'_> {
    async fn load(&mut self, config: &NormalizeConfig, known_as_of: InstantMicros) -> Result<LoadedRates> {
        let folder = match self.read.get(&config.rates_url) {
            Some(folder) => folder.clone(),
            None => {
                let folder = RateFolder::read(self.stores, &config.rates_url).await;
                let folder = folder.map_err(|error| of_rates(&error))?;
                self.read.entry(config.rates_url.clone()).or_insert(folder).clone()
            }
        };
        folder.load(&config.book_options(known_as_of)).map_err(|error| of_rates(&error))
    }
}

/// The batches that are named, or all.
fn chosen<'a>(state: &'a TableState, config: &RestateConfig) -> Result<Vec<(&'a str, &'a BatchState)>> {
    if let Some(unknown) = config.batches.iter().find(|name| state.batch(name).is_none()) {
        return Err(JobError::usage(format!("no batch `{unknown}` in the table"))
            .with_hint("`cambist table log` tells the batches of each commit"));
    }
    let is_chosen = |name: &str| config.batches.is_empty() || config.batches.contains(name);
    Ok(state.batches().filter(|(name, _)| is_chosen(name)).collect())
}

/// Reads the account of a batch's run.
fn read(name: &str, batch: &BatchState, known_to: InstantMicros) -> Result<SurveyedBatch> {
    let again = "run the batch again with `cambist normalize`, or leave it out with --batch";
    let damaged = |detail: String| {
        JobError::data(format!("the log's account of batch `{name}` is not readable: {detail}"))
    };
    let details = RunDetails::of_batch(name, &batch.details)?;
    let Some(inputs) = details.inputs.clone() else {
        return Err(JobError::data(format!(
            "batch `{name}` was run by a program that did not record its options and inputs, expected a record of them"
        ))
        .with_hint(again));
    };
    if batch.rules_version != RULES_VERSION {
        return Err(JobError::data(format!(
            "batch `{name}` was converted by version {} of the rules, expected {RULES_VERSION}",
            batch.rules_version
        ))
        .with_hint(again));
    }
    let spec: NormalizeSpec = crate::options::from_json("normalize", &inputs.options)
        .map_err(|error| damaged(format!("its options: {error}")))?;
    let config = NormalizeConfig::try_from(spec).map_err(|error| damaged(format!("its options: {error}")))?;
    let known: jiff::Timestamp =
        details.known_as_of.parse().map_err(|error| damaged(format!("its known_as_of: {error}")))?;
    if inputs.digest(&config) != batch.input_digest {
        return Err(JobError::data(format!(
            "the options and inputs that batch `{name}` recorded do not give the digest that it recorded"
        ))
        .with_hint(again));
    }
    Ok(SurveyedBatch {
        name: name.to_owned(),
        base: batch.number,
        inputs,
        config: NormalizeConfig { known_as_of: Some(known_to), ..config },
        known: InstantMicros(known.as_microsecond()),
        details,
        touch: Touch::default(),
    })
}

/// The rates as they were known to the batch's run must still be what it used, or nothing can be said of what
/// has changed since.
fn check_rates(batch: &SurveyedBatch, before: &LoadedRates) -> Result<()> {
    if before.reference.digest == batch.inputs.rates_digest {
        return Ok(());
    }
    Err(JobError::data(format!(
        "the rates at `{}` as known at {} are not those that batch `{}` was run with{}",
        batch.config.rates_url,
        batch.known,
        batch.name,
        first_difference(&batch.details, &before.book)
    ))
    .with_hint(
        "corrections must be further files, not changed ones, and files keep the time at which they came; \
         `cambist normalize` runs the batch again with the rates as they are",
    ))
}

fn first_difference(details: &RunDetails, book: &RateBook) -> String {
    let used: HashSet<(&str, &str)> =
        details.snapshots.iter().map(|one| (one.id.as_str(), one.rate_date.as_str())).collect();
    let found: HashSet<(String, String)> =
        book.snapshots().iter().map(|one| (one.id.to_string(), one.rate_date.to_string())).collect();
    let gone = details.snapshots.iter().find(|one| !found.contains(&(one.id.clone(), one.rate_date.clone())));
    if let Some(gone) = gone {
        return format!(": its snapshot of {} from `{}` is not among them", gone.rate_date, gone.location);
    }
    let is_new = |one: &&cambist_udfs::rate::Snapshot| {
        !used.contains(&(one.id.to_string().as_str(), one.rate_date.to_string().as_str()))
    };
    match book.snapshots().iter().find(is_new) {
        Some(new) => {
            format!(": the snapshot of {} from `{}` is one it did not use", new.rate_date, new.location)
        }
        None => String::new(),
    }
}

/// `from` says as of when the table's rates are known: a batch that knows less would be restated by more than
/// the caller wants to see.
fn refuse_earlier(batch: &SurveyedBatch, touch: &Touch, from: InstantMicros) -> Result<()> {
    if touch.is_nothing() {
        return Ok(());
    }
    let first = touch.keys.first().map(|key| {
        format!("; {} to {} for {} was corrected in between", key.source, key.target, key.change.days.first)
    });
    Err(JobError::usage(format!(
        "known.from is {from}, but batch `{}` was run with rates as known at {}{}; expected an instant at which the table's rates were known",
        batch.name,
        batch.known,
        first.unwrap_or_default()
    ))
    .with_hint(format!("leave --from-known out, or give --from-known {}", batch.known)))
}
