//! `RateJoin` over mixed currencies and days, one core, one target: rows per second.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up stops")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use cambist_engine::rate_join::{RateJoin, RateJoinSpec, TargetCurrency};
use cambist_engine::rates::{RateBookRef, RateBooks};
use cambist_engine::record::{FILE_FIELD, NUMBER_FIELD, OFFSET_FIELD, RAW_FIELD, RECORD_COLUMN};
use cambist_engine::session::{BATCH_ROWS, session_config};
use cambist_engine::task::TaskLedger;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
use cambist_udfs::rounding::RoundingMode;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

/// The allocator of the product: with glibc's, every column of a batch is mapped and unmapped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 64 * BATCH_ROWS;
const CODES: [&str; 8] = ["EUR", "USD", "GBP", "JPY", "CHF", "SEK", "INR", "KRW"];
const FIRST_DAY: i32 = 19_723;
const DAYS: i32 = 366;

fn book() -> Arc<RateBook> {
    let code = |text: &str| CurrencyCode::parse(text).unwrap();
    let snapshot = |day: i32| {
        let rate = |at: usize, text: &&str| {
            (code(text), format!("{}.{:04}", at + 1, day % 9_000 + 1).parse().unwrap())
        };
        let mut rates: Vec<_> = CODES[1..].iter().enumerate().map(|(at, text)| rate(at, text)).collect();
        rates.push((code("SGD"), format!("1.{:04}", day % 9_000 + 7).parse().unwrap()));
        rates.sort_by_key(|(code, _)| *code);
        let mut id = [0; 32];
        id[..4].copy_from_slice(&day.to_le_bytes());
        Snapshot {
            id: SnapshotId(id),
            provider: "bench".to_owned(),
            base: code("EUR"),
            rate_date: RateDate(day),
            valid_at: None,
            known_at: InstantMicros(0),
            location: String::new(),
            rates,
            expires: None,
            held: Vec::new(),
        }
    };
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: Some(7), known_as_of: InstantMicros(1) };
    let snapshots = (FIRST_DAY..FIRST_DAY + DAYS).map(snapshot).collect();
    Arc::new(RateBook::build(snapshots, &options).unwrap())
}

fn batch(number: usize) -> RecordBatch {
    let rows = BATCH_ROWS;
    let at = |row: usize| number * rows + row;
    let amounts =
        Decimal128Array::from_iter_values((0..rows).map(|row| (at(row) as i128 * 7_919) % 10_000_000))
            .with_precision_and_scale(18, 2)
            .unwrap();
    let currencies = StringArray::from_iter_values((0..rows).map(|row| CODES[at(row) * 31 % CODES.len()]));
    let micros = |row: usize| {
        (i64::from(FIRST_DAY) + (at(row) as i64 * 131) % i64::from(DAYS)) * 86_400_000_000 + 3_600_000_000
    };
    let times = TimestampMicrosecondArray::from_iter_values((0..rows).map(micros)).with_timezone("UTC");
    let file: DictionaryArray<Int32Type> = std::iter::repeat_n("bench", rows).collect();
    let offsets = Int64Array::from_iter_values((0..rows).map(|row| at(row) as i64));
    let fields: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new(
                FILE_FIELD,
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                false,
            ),
            Arc::new(file),
        ),
        (Field::new(OFFSET_FIELD, DataType::Int64, false), Arc::new(offsets)),
        (Field::new(NUMBER_FIELD, DataType::Int64, true), Arc::new(Int64Array::new_null(rows))),
        (
            Field::new(RAW_FIELD, DataType::BinaryView, true),
            Arc::new(BinaryViewArray::from_iter(std::iter::repeat_n(None::<&[u8]>, rows))),
        ),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = fields.into_iter().unzip();
    let record = StructArray::new(Fields::from(fields), arrays, None);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(amounts), Arc::new(currencies), Arc::new(times), Arc::new(record)];
    let names = ["__amount", "__currency", "__event_time", RECORD_COLUMN];
    let fields: Vec<Field> = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn join(book: &Arc<RateBook>) -> (Arc<dyn ExecutionPlan>, Arc<TaskContext>) {
    let batches: Vec<RecordBatch> = (0..ROWS / BATCH_ROWS).map(batch).collect();
    let schema = batches[0].schema();
    let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
    let reference = RateBookRef::of("", book);
    let spec = RateJoinSpec {
        amount: "__amount".to_owned(),
        currency: "__currency".to_owned(),
        event_time: "__event_time".to_owned(),
        kept: Vec::new(),
        time_format: None,
        time_zone: None,
        rate_zone: "UTC".to_owned(),
        targets: vec![TargetCurrency { code: "SGD".to_owned(), minor_units: 2 }],
        rounding: RoundingMode::HalfEven,
        lineage: false,
        book: reference.clone(),
    };
    let books = Arc::new(RateBooks::default());
    books.add(&reference, Arc::clone(book));
    let (ledger, _quarantine) = TaskLedger::open();
    let config = session_config(1, books).with_extension(ledger);
    let context = TaskContext::default().with_session_config(config);
    (Arc::new(RateJoin::try_new(input, Arc::new(spec)).unwrap()), Arc::new(context))
}

fn rate_join(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (plan, context) = join(&book());
    let run = || {
        runtime.block_on(async {
            let mut rows = plan.execute(0, Arc::clone(&context)).unwrap();
            let mut converted = 0;
            while let Some(batch) = rows.next().await {
                converted += batch.unwrap().num_rows();
            }
            converted
        })
    };
    assert_eq!(run(), ROWS, "every row converts");
    let mut group = criterion.benchmark_group("rate_join");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20);
    group.bench_function("8 currencies, 366 days, 1 target", |bencher| bencher.iter(run));
    group.finish();
}

criterion_group!(benches, rate_join);
criterion_main!(benches);
