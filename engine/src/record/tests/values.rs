use crate::record::ColumnType;
use crate::record::value::{Contradiction, boolean, date, decimal, float64, instant, int64, timestamp};

#[test]
fn type_names_are_read_and_written() {
    for name in ["text", "int64", "decimal(18,4)", "bool", "date", "timestamp", "timestamptz", "float64"] {
        assert_eq!(name.parse::<ColumnType>().unwrap().to_string(), name);
    }
    assert_eq!(" decimal( 5 , 2 ) ".parse(), Ok(ColumnType::Decimal { precision: 5, scale: 2 }));
    for name in [
        "",
        "Int64",
        "decimal",
        "decimal(39,2)",
        "decimal(5,6)",
        "decimal(38,19)",
        "decimal(0,0)",
        "decimal(5)",
    ] {
        assert!(name.parse::<ColumnType>().is_err(), "{name}");
    }
    assert_eq!(
        "money".parse::<ColumnType>().unwrap_err().to_string(),
        "unknown column type `money`; expected text, int64, decimal(precision,scale) with precision 1 to 38 \
         and scale 0 to 18, bool, date, timestamp, timestamptz or float64"
    );
}

#[test]
fn every_type_survives_its_arrow_form() {
    for name in ["text", "int64", "decimal(18,4)", "bool", "date", "timestamp", "timestamptz", "float64"] {
        let column_type: ColumnType = name.parse().unwrap();
        assert_eq!(ColumnType::from_data_type(&column_type.data_type()), Some(column_type));
    }
}

#[test]
fn whole_numbers_keep_their_range() {
    assert_eq!(int64("-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(int64("9223372036854775807"), Ok(i64::MAX));
    assert_eq!(int64("+7"), Ok(7));
    assert_eq!(int64("9223372036854775808"), Err(Contradiction::Overflow));
    assert_eq!((int64("17850.0"), int64("1e3")), (Ok(17_850), Ok(1_000)));
    assert_eq!(int64("1.5"), Err(Contradiction::Scale));
    assert_eq!(int64("1e30"), Err(Contradiction::Overflow));
    for text in ["-", "+", "1_000", "0x10", "١"] {
        assert_eq!(int64(text), Err(Contradiction::Kind), "{text}");
    }
}

#[test]
fn decimals_are_rescaled_exactly_or_refused() {
    assert_eq!(decimal("1.50", 5, 1), Ok(15));
    assert_eq!(decimal("-999.99", 5, 2), Ok(-99_999));
    assert_eq!(decimal("1000", 5, 2), Err(Contradiction::Overflow));
    assert_eq!(decimal("0.001", 5, 2), Err(Contradiction::Scale));
    assert_eq!(decimal("99999999999999999999999999999999999999", 38, 0), Ok(10_i128.pow(38) - 1));
    assert_eq!(decimal("99999999999999999999999999999999999999", 38, 2), Err(Contradiction::Overflow));
    assert_eq!(decimal("1,5", 5, 2), Err(Contradiction::Kind));
}

#[test]
fn truth_values_and_doubles_are_read() {
    assert_eq!((boolean("True"), boolean("0")), (Ok(true), Ok(false)));
    assert_eq!(boolean("yes"), Err(Contradiction::Kind));
    assert_eq!(float64("-2.5e1"), Ok(-25.0));
    assert_eq!(float64("nan"), Err(Contradiction::Kind));
    assert_eq!(float64("1e999"), Err(Contradiction::Overflow));
}

/// Days since 1970-01-01 from Python: `(date(y, m, d) - date(1970, 1, 1)).days`.
#[test]
fn dates_are_days_of_the_gregorian_calendar() {
    for (text, days) in [
        ("1970-01-01", 0),
        ("1969-12-31", -1),
        ("2000-02-29", 11_016),
        ("2024-12-31", 20_088),
        ("0001-01-01", -719_162),
        ("9999-12-31", 2_932_896),
    ] {
        assert_eq!(date(text), Ok(days), "{text}");
    }
    for text in ["2023-02-29", "2024-13-01", "2024-1-1", "20240101", "2024-01-01T00:00", "2024-00-10"] {
        assert_eq!(date(text), Err(Contradiction::Kind), "{text}");
    }
}

/// Seconds since the epoch from `date -u -d TEXT +%s`.
#[test]
fn times_are_read_with_or_without_offset_as_their_type_says() {
    assert_eq!(timestamp("2024-05-01T10:00:00"), Ok(1_714_557_600_000_000));
    assert_eq!(timestamp("2024-05-01 10:00"), Ok(1_714_557_600_000_000));
    assert_eq!(timestamp("1969-12-31 23:59:59.25"), Ok(-750_000));
    assert_eq!(timestamp("2024-05-01T10:00:00.123456000"), Ok(1_714_557_600_123_456));
    assert_eq!(instant("2024-05-01T10:00:00Z"), Ok(1_714_557_600_000_000));
    assert_eq!(instant("2024-05-01T12:00:00+02:00"), Ok(1_714_557_600_000_000));
    assert_eq!(instant("2024-05-01T04:30:00-0530"), Ok(1_714_557_600_000_000));
    assert_eq!(instant("2024-05-01T12:00:00+02"), Ok(1_714_557_600_000_000));
    for text in [
        "2024-05-01T10:00:00Z",
        "2024-05-01",
        "2024-05-01T24:00",
        "2024-05-01T10:00:00.1234567",
        "2024-05-01T10:60",
    ] {
        assert_eq!(timestamp(text), Err(Contradiction::Kind), "{text}");
    }
    for text in ["2024-05-01T10:00:00", "2024-05-01T10:00:00+24:00", "2024-05-01T10:00:00 Z"] {
        assert_eq!(instant(text), Err(Contradiction::Kind), "{text}");
    }
}
