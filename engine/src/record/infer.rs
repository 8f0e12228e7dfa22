//! The schema of a source, from the beginnings of its files and the declared types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::{FutureExt, StreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};

use super::column_type::ColumnType;
use super::config::{Format, RecordConfig};
use super::error::RecordError;
use super::header::Header;
use super::input::{Input, Object};
use super::json::{Json, ValueKind, value_kinds};
use super::parquet::read_schema;
use super::schema::{FAULT_COLUMN, RECORD_COLUMN, with_hidden_columns};
use super::text::{Dialect, Frame};
use super::window::Window;
use crate::progress::RunProgress;

/// A JSON source of at most so many bytes, as stored, is read whole to learn its columns and their types.
const WHOLE_INPUT_BYTES: u64 = 64 << 20;

/// How much of a JSON file of a larger source is searched for columns, whatever the length of its records.
const SAMPLE_BYTES_MAX: u64 = 16 << 20;

/// Files that are searched for columns at once: thousands of small ones cost a request each.
const SURVEYS_AT_ONCE: usize = 32;

/// Infers the schema of a source: its columns in the order of the first file, in their declared types,
/// and after them the hidden columns [`RECORD_COLUMN`] and [`FAULT_COLUMN`].
///
/// Files are taken in the order of their paths, whatever the order of `files`. A delimited file brings
/// the columns of its header, a Parquet file its own columns and types, JSON files the keys of their
/// records (all of a source of at most 64 MiB, else `sample_records` records of `sample_files` files),
/// the declared types and roles and the configured paths. Undeclared columns of delimited files are text;
/// those of JSON files are `int64`, `decimal(38,9)` or `bool` where all values seen are, else text, and
/// columns with a role and those of paths are text.
///
/// # Errors
/// [`RecordError::Empty`] where no file has anything to infer from, or [`RecordError::DamagedFile`]
/// where damage is why; [`RecordError::UnknownColumn`] for
/// a declared type of a column that a delimited or Parquet source does not have;
/// [`RecordError::MissingColumn`] or [`RecordError::ExtraColumn`] where the files looked at differ;
/// [`RecordError::Header`]; [`RecordError::ReservedColumn`]; and what the object store reports.
pub async fn infer(
    store: &Arc<dyn ObjectStore>,
    files: &[ObjectMeta],
    config: &RecordConfig,
) -> Result<SchemaRef, RecordError> {
    config.validate()?;
    let mut objects: Vec<Object> = files
        .iter()
        .filter(|meta| meta.size > 0)
        .map(|meta| Object {
            store: Arc::clone(store),
            meta: meta.clone(),
            progress: RunProgress::default(),
            chunk_bytes: config.chunk_bytes,
        })
        .collect();
    objects.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
    match config.format {
        Format::Csv => infer_delimited(&objects, config, files.len()).await,
        Format::Ndjson | Format::Json => infer_json(&objects, config, files.len()).await,
        Format::Parquet => infer_parquet(&objects, config, files.len()).await,
    }
}

async fn infer_delimited(
    objects: &[Object],
    config: &RecordConfig,
    files: usize,
) -> Result<SchemaRef, RecordError> {
    let mut first: Option<(&Object, Header)> = None;
    let mut compared = 0;
    let mut missed = Missed::new(files);
    for object in objects {
        if compared >= config.sample_files.max(1) {
            break;
        }
        let Some(header) = missed.keep(Header::of_file(object, config).await)?.flatten() else { continue };
        compared += 1;
        match &first {
            None => first = Some((object, header)),
            // Without a header a record of another length is a fault of that record.
            Some(_) if !config.header => break,
            Some((origin, known)) => {
                let wanted: Vec<&str> = known.names.iter().map(String::as_str).collect();
                header.order(&wanted, object.file(), &format!("`{}`", origin.file()))?;
            }
        }
    }
    let Some((_, header)) = first else { return Err(missed.into_error()) };
    check_types(&header.names, config)?;
    Ok(text_schema(&header.names, config))
}

async fn infer_json(
    objects: &[Object],
    config: &RecordConfig,
    files: usize,
) -> Result<SchemaRef, RecordError> {
    let bytes: u64 = objects.iter().map(|object| object.meta.size).sum();
    let sample = if bytes <= WHOLE_INPUT_BYTES { Sample::whole() } else { Sample::of(config) };
    let mut columns: Vec<(String, ValueKind)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut missed = Missed::new(files);
    // Boxed: a closure over borrowed objects makes the whole future impossible to send between threads.
    let surveys: Vec<_> =
        objects.iter().take(sample.files).map(|object| survey(object, config, &sample).boxed()).collect();
    let mut surveys = stream::iter(surveys).buffered(SURVEYS_AT_ONCE).zip(stream::iter(objects));
    while let Some((surveyed, object)) = surveys.next().await {
        for (key, kind) in missed.keep(surveyed)?.unwrap_or_default() {
            if key == RECORD_COLUMN || key == FAULT_COLUMN {
                return Err(RecordError::ReservedColumn { file: object.file().to_owned(), column: key });
            }
            merge_kind(&mut columns, &mut places, key, kind);
        }
    }
    // A role may be an SQL expression, which must not turn into a column that no record has.
    let roles = config.roles.keys().filter(|role| is_plain_name(role));
    let configured = config.paths.iter().chain(config.types.keys()).chain(roles);
    for name in configured {
        merge_kind(&mut columns, &mut places, name.clone(), ValueKind::Null);
    }
    if columns.is_empty() {
        return Err(missed.into_error());
    }
    let fields = columns.iter().map(|(name, kind)| {
        // What a row is converted from stays text: its own readers take every form of it.
        // So does what a path names, which was not looked at: `kind` is of a key that bears the path's name.
        let is_text = config.roles.contains_key(name) || config.paths.contains(name);
        let own = if is_text { ColumnType::Text } else { kind.column_type() };
        let column_type = config.types.get(name).copied().unwrap_or(own);
        Arc::new(Field::new(name, column_type.data_type(), true))
    });
    Ok(with_hidden_columns(fields.collect(), DataType::BinaryView))
}

fn is_plain_name(role: &str) -> bool {
    role.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// How much of a JSON source is read to learn its columns.
struct Sample {
    files: usize,
    records: usize,
    bytes: u64,
}

impl Sample {
    fn whole() -> Self {
        Self { files: usize::MAX, records: usize::MAX, bytes: u64::MAX }
    }

    fn of(config: &RecordConfig) -> Self {
        Self {
            files: config.sample_files.max(1),
            records: config.sample_records.max(1),
            bytes: SAMPLE_BYTES_MAX,
        }
    }
}

fn merge_kind(
    columns: &mut Vec<(String, ValueKind)>,
    places: &mut HashMap<String, usize>,
    key: String,
    kind: ValueKind,
) {
    match places.get(&key).and_then(|place| columns.get_mut(*place)) {
        Some((_, known)) => *known = known.merge(kind),
        None => {
            places.insert(key.clone(), columns.len());
            columns.push((key, kind));
        }
    }
}

/// Returns the keys of a file's first records, in the order in which they first appear, with what their
/// values are.
async fn survey(
    object: &Object,
    config: &RecordConfig,
    sample: &Sample,
) -> Result<Vec<(String, ValueKind)>, RecordError> {
    let mut window = Window::over_file(Input::open(object).await?).await?;
    let mut json = Json::new(config, &[]);
    let mut found = Vec::new();
    let mut places = HashMap::new();
    let mut records = 0;
    while records < sample.records && window.offset() < sample.bytes {
        let unread = window.unread();
        match json.frame(unread, window.is_last && window.damage.is_none()) {
            Frame::More if window.is_last => break,
            Frame::More => window.refill().await?,
            Frame::TooLong => break,
            Frame::Blank { next } => window.position += next,
            Frame::Broken { next, .. } => {
                records += 1;
                window.position += next;
            }
            Frame::Record { end, next } => {
                records += 1;
                let record = std::str::from_utf8(unread.get(..end).unwrap_or_default());
                for (key, kind) in record.ok().and_then(value_kinds).unwrap_or_default() {
                    merge_kind(&mut found, &mut places, key, kind);
                }
                window.position += next;
            }
        }
    }
    match window.damage {
        Some(detail) if found.is_empty() => {
            Err(RecordError::DamagedFile { file: object.file().to_owned(), detail })
        }
        _ => Ok(found),
    }
}

async fn infer_parquet(
    objects: &[Object],
    config: &RecordConfig,
    files: usize,
) -> Result<SchemaRef, RecordError> {
    let mut missed = Missed::new(files);
    for object in objects {
        let Some(fields) = missed.keep(read_schema(object).await)? else { continue };
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        if let Some(column) = names.iter().find(|name| *name == RECORD_COLUMN || *name == FAULT_COLUMN) {
            return Err(RecordError::ReservedColumn {
                file: object.file().to_owned(),
                column: column.clone(),
            });
        }
        check_types(&names, config)?;
        let columns = fields.iter().map(|field| match config.types.get(field.name()) {
            Some(column_type) => Arc::new(Field::new(field.name(), column_type.data_type(), true)),
            None => Arc::clone(field),
        });
        return Ok(with_hidden_columns(columns.collect(), DataType::Struct(fields.clone())));
    }
    Err(missed.into_error())
}

/// Files from which nothing was learnt: no matter, as long as another one tells the columns.
struct Missed {
    files: usize,
    damaged: Option<RecordError>,
}

impl Missed {
    fn new(files: usize) -> Self {
        Self { files, damaged: None }
    }

    fn keep<T>(&mut self, found: Result<T, RecordError>) -> Result<Option<T>, RecordError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(damage @ RecordError::DamagedFile { .. }) => {
                self.damaged.get_or_insert(damage);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn into_error(self) -> RecordError {
        let files = self.files;
        self.damaged.unwrap_or(RecordError::Empty { files })
    }
}

fn check_types(names: &[String], config: &RecordConfig) -> Result<(), RecordError> {
    match config.types.keys().find(|column| !names.contains(column)) {
        None => Ok(()),
        Some(column) => Err(RecordError::UnknownColumn { column: column.clone(), known: names.to_vec() }),
    }
}

fn text_schema(names: &[String], config: &RecordConfig) -> SchemaRef {
    let column = |name: &String| {
        let column_type = config.types.get(name).copied().unwrap_or_default();
        Arc::new(Field::new(name, column_type.data_type(), true))
    };
    with_hidden_columns(names.iter().map(column).collect(), DataType::BinaryView)
}
