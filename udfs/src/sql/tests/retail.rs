//! Half a million real payments over two years of published rates, against figures of an independent
//! program. The data is where `CAMBIST_DATA` points to; without it the test says that it is skipped.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, Date32Array, Decimal128Array, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use datafusion::prelude::SessionContext;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::{batches, empty_session, rows};
use crate::decimal::Decimal;
use crate::rate::adapter::{Payload, read_payload};
use crate::rate::{AsOfMode, BookOptions, InstantMicros, RateBook};
use crate::sql::register_rates;

const AMOUNT_SCALE: u8 = 4;

fn daily_rates(folder: &Path) -> RateBook {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let payload = Payload { bytes: &bytes, file_name, location: file_name, known_at: InstantMicros(0) };
        snapshots.extend(read_payload(&payload).unwrap().snapshots);
    }
    let options = BookOptions { mode: AsOfMode::Date, max_age_days: Some(7), known_as_of: InstantMicros(0) };
    RateBook::build(snapshots, &options).unwrap()
}

/// Quantity times price, and the day of `12/1/2010 8:26`.
fn payments(path: &Path) -> RecordBatch {
    let (mut amounts, mut days) = (Vec::new(), Vec::new());
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    for record in reader.byte_records() {
        let record = record.unwrap();
        let text = |column: usize| str::from_utf8(&record[column]).unwrap();
        let price = text(5).parse::<Decimal>().unwrap().rescale(AMOUNT_SCALE).unwrap();
        amounts.push(text(3).parse::<i128>().unwrap() * price);
        let day = jiff::civil::DateTime::strptime("%m/%d/%Y %H:%M", text(4)).unwrap().date();
        let epoch = jiff::civil::date(1970, 1, 1);
        days.push(epoch.until(day).unwrap().get_days());
    }
    let amount_type = DataType::Decimal128(38, AMOUNT_SCALE.cast_signed());
    let schema = Schema::new(vec![
        Field::new("amount", amount_type.clone(), false),
        Field::new("day", DataType::Date32, false),
    ]);
    let amounts = Decimal128Array::from(amounts).with_data_type(amount_type);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(amounts), Arc::new(Date32Array::from(days))])
        .unwrap()
}

/// The sha256 over every result in minor units, each with a line feed.
fn hash(context: &SessionContext, sql: &str) -> String {
    let mut hasher = Sha256::new();
    for batch in batches(context, sql).unwrap() {
        for amount in batch.column(0).as_primitive::<Decimal128Type>().values() {
            hasher.update(format!("{amount}\n"));
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_payment_converts_to_the_last_digit() {
    let Some(data) = std::env::var_os("CAMBIST_DATA") else {
        println!("skipped: CAMBIST_DATA, the folder of the shared test data, is not set");
        return;
    };
    let data = Path::new(&data);
    // One partition keeps the order of the file, on which the hash depends.
    let context = empty_session(1);
    register_rates(&context, Arc::new(daily_rates(&data.join("oxr/daily")))).unwrap();
    context.register_batch("payments", payments(&data.join("retail/online_retail.csv.gz"))).unwrap();
    let golden = fs::read(data.join("golden/retail_x_oxr.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    for target in ["INR", "SGD", "USD"] {
        for (mode, short) in [("half_even", "HE"), ("half_up", "HU")] {
            let key = format!("gbp->{target} {short}");
            let converted = format!(
                "SELECT fx_convert(amount, 'GBP', day, '{target}', '{mode}') AS converted FROM payments"
            );
            let expected = golden["sha256_of_newline_terminated_minor_units"][&key].as_str().unwrap();
            assert_eq!(hash(&context, &converted), expected, "{key}");
            let total = rows(
                &context,
                &format!("SELECT money_sum(converted, '{target}'), count(*) FROM ({converted})"),
            )
            .unwrap();
            let minor = golden["totals_minor_units"][&key].as_i64().unwrap();
            assert_eq!(total, [format!("{}.{:02} | 541909", minor / 100, minor % 100)], "{key}");
        }
    }
}
