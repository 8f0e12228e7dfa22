//! Columns as operators hand them over: sliced, empty, with nulls, of every layout, beside constants.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Date64Array, Decimal128Array, Int64Array, LargeStringArray, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::{MAY_1, call, texts};

fn column(array: impl Array + 'static) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(array))
}

fn text(value: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(value))
}

fn day(days: i32) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Date32(Some(days)))
}

fn cents(values: Vec<Option<i128>>) -> Decimal128Array {
    Decimal128Array::from(values).with_precision_and_scale(18, 2).unwrap()
}

fn sliced(array: &dyn Array, offset: usize, length: usize) -> ColumnarValue {
    ColumnarValue::Array(array.slice(offset, length))
}

#[test]
fn slices_begin_at_their_own_first_row() {
    let amounts = cents(vec![Some(1), Some(10_000), None, Some(-10_000), Some(1)]);
    let codes = StringArray::from(vec![Some("???"), Some("GBP"), None, Some("gbp"), Some("???")]);
    let days = Date32Array::from(vec![None, Some(MAY_1 + 3), None, Some(MAY_1 + 1), None]);
    let arguments = vec![sliced(&amounts, 1, 3), sliced(&codes, 1, 3), sliced(&days, 1, 3), text("INR")];
    // 100 * 89.60 / 0.8575 = 10448.9795…; 100 * 89.25 / 0.8550 = 10438.5964….
    assert_eq!(texts(&call("fx_convert", arguments, 3).unwrap()), ["10448.98", "NULL", "-10438.60"]);
}

#[test]
fn constants_and_columns_of_them_give_the_same() {
    let amount = ColumnarValue::Scalar(ScalarValue::Decimal128(Some(10_000), 18, 2));
    let constants =
        call("fx_convert", vec![amount.clone(), text("GBP"), day(MAY_1 + 3), text("INR")], 2).unwrap();
    let codes = column(StringArray::from(vec!["GBP", "GBP"]));
    let days = column(Date32Array::from(vec![MAY_1 + 3, MAY_1 + 3]));
    let amounts = column(cents(vec![Some(10_000); 2]));
    for arguments in [
        vec![amounts.clone(), codes.clone(), days.clone(), text("INR")],
        vec![amount.clone(), codes, day(MAY_1 + 3), text("INR")],
        vec![amount, text("GBP"), days, text("INR")],
        vec![amounts, text("GBP"), day(MAY_1 + 3), text("INR")],
    ] {
        assert_eq!(&call("fx_convert", arguments, 2).unwrap(), &constants);
    }
}

#[test]
fn an_empty_column_gives_an_empty_column() {
    let none = || column(StringArray::from(Vec::<&str>::new()));
    let days = || column(Date32Array::from(Vec::<i32>::new()));
    for (name, arguments) in [
        ("fx_convert", vec![none(), none(), days(), text("INR")]),
        ("try_fx_convert", vec![none(), text("ZZZ"), days(), text("INR")]),
        ("fx_rate", vec![none(), none(), days()]),
        ("fx_rate_date", vec![none(), none(), days()]),
        ("money_round", vec![none(), none()]),
        ("currency_minor_units", vec![none()]),
        ("currency_normalize", vec![none()]),
        ("parse_decimal", vec![none()]),
        // Constants over no rows must not fail either: there is no row to be at fault.
        ("fx_convert", vec![text("n/a"), text("ZZZ"), text("n/a"), text("INR")]),
        ("currency_minor_units", vec![text("ZZZ")]),
    ] {
        assert_eq!(call(name, arguments, 0).unwrap().len(), 0, "{name}");
    }
}

#[test]
fn columns_of_nulls_give_nulls() {
    let nulls = || column(StringArray::from(vec![None::<&str>; 2]));
    for (name, arguments) in [
        ("fx_convert", vec![nulls(), nulls(), nulls(), text("INR")]),
        ("try_fx_convert", vec![text("1"), nulls(), nulls(), text("INR")]),
        ("try_fx_rate", vec![nulls(), nulls(), nulls()]),
        ("try_fx_rate_date", vec![nulls(), nulls(), nulls()]),
        ("money_round", vec![nulls(), nulls()]),
        ("currency_minor_units", vec![nulls()]),
        ("currency_normalize", vec![nulls()]),
        ("parse_decimal", vec![nulls()]),
    ] {
        let result = call(name, arguments, 2).unwrap();
        assert_eq!((result.len(), result.null_count()), (2, 2), "{name}");
    }
}

#[test]
fn every_layout_of_text_is_read() {
    let values = vec![Some("GBP"), None, Some(" inr ")];
    for codes in [
        column(StringArray::from(values.clone())),
        column(LargeStringArray::from(values.clone())),
        column(StringViewArray::from(values)),
    ] {
        assert_eq!(texts(&call("currency_normalize", vec![codes], 3).unwrap()), ["GBP", "NULL", "INR"]);
    }
}

#[test]
fn text_integer_and_decimal_amounts_agree() {
    for amounts in [
        column(StringArray::from(vec!["100"])),
        column(Int64Array::from(vec![100])),
        column(cents(vec![Some(10_000)])),
        column(Decimal128Array::from(vec![100]).with_precision_and_scale(38, 0).unwrap()),
    ] {
        let arguments = vec![amounts, text("GBP"), day(MAY_1 + 3), text("INR")];
        assert_eq!(texts(&call("fx_convert", arguments, 1).unwrap()), ["10448.98"]);
    }
}

/// The last tick before 1970 belongs to 1969-12-31, in every unit.
#[test]
fn timestamps_are_dated_by_the_day_that_holds_them() {
    let events: [ArrayRef; 4] = [
        Arc::new(TimestampSecondArray::from(vec![-1])),
        Arc::new(TimestampMicrosecondArray::from(vec![-1])),
        Arc::new(TimestampNanosecondArray::from(vec![-1])),
        Arc::new(Date64Array::from(vec![-1])),
    ];
    for event in events {
        let arguments = vec![text("1"), text("GBP"), ColumnarValue::Array(Arc::clone(&event)), text("INR")];
        let error = call("fx_convert", arguments, 1).unwrap_err().to_string();
        assert!(
            error.contains("EVENT_BEFORE_HISTORY: 1969-12-31 lies before"),
            "{:?}: {error}",
            event.data_type()
        );
    }
}

#[test]
fn a_timestamp_and_its_date_give_the_same() {
    let noon = i64::from(MAY_1 + 1) * 86_400 + 43_200;
    let timestamp = column(TimestampSecondArray::from(vec![noon]));
    let zoned = column(TimestampSecondArray::from(vec![noon]).with_timezone("Asia/Kolkata"));
    for event in [timestamp, zoned, column(StringArray::from(vec![" 2024-05-02 "])), day(MAY_1 + 1)] {
        let arguments = vec![text("100"), text("GBP"), event, text("INR")];
        assert_eq!(texts(&call("fx_convert", arguments, 1).unwrap()), ["10438.60"]);
    }
}

/// A timestamp of seconds may lie beyond any day that a date can number.
#[test]
fn an_instant_beyond_the_calendar_is_refused() {
    let event = column(TimestampSecondArray::from(vec![i64::MAX]));
    let error =
        call("fx_convert", vec![text("1"), text("GBP"), event, text("INR")], 1).unwrap_err().to_string();
    assert!(error.contains("EVENT_TIME_INVALID: event date `9223372036854775807`"), "{error}");
}

/// What an earlier row of the batch asked for is remembered, and must not be taken for what is merely like it.
#[test]
fn a_row_among_others_gives_what_it_gives_alone() {
    let codes =
        ["GBP", "gbp", " GBP", "GBX", "GBp", "INR", "USD", "GBP\0", "EUR", "XXX", "GBPGBPGB", "", "ZZZ"];
    let amounts = [10_000, -10_000, 1, 99_999_999_999_999_999];
    let mut rows = Vec::new();
    for round in 0..3_i128 {
        for offset in -5..12 {
            for (place, code) in codes.iter().enumerate() {
                let amount = amounts[place % amounts.len()] + round;
                rows.push((amount, *code, MAY_1 + offset));
            }
        }
    }
    let call_of = |rows: &[(i128, &str, i32)]| {
        let amounts = cents(rows.iter().map(|row| Some(row.0)).collect());
        let codes: StringArray = rows.iter().map(|row| Some(row.1)).collect();
        let days = Date32Array::from_iter_values(rows.iter().map(|row| row.2));
        let arguments = vec![column(amounts), column(codes), column(days), text("INR")];
        texts(&call("try_fx_convert", arguments, rows.len()).unwrap())
    };
    let alone: Vec<String> = rows.iter().flat_map(|row| call_of(&[*row])).collect();
    assert_eq!(call_of(&rows), alone);
    assert!(alone.iter().filter(|text| *text != "NULL").count() > 100);
}
