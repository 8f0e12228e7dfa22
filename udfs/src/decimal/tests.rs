use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Result<(i128, u8), DecimalError>) {
    let read = Decimal::from_bytes(text.as_bytes()).map(|number| (number.mantissa(), number.scale()));
    assert_eq!(read, expected, "`{text}`");
}

#[test]
fn plain_numbers_keep_their_scale() {
    check("12345.67", Ok((1_234_567, 2)));
    check("2.50", Ok((250, 2)));
    check("0", Ok((0, 0)));
    check("0.00", Ok((0, 2)));
    check("-0", Ok((0, 0)));
    check("+7", Ok((7, 0)));
    check("-0.001", Ok((-1, 3)));
    check(".5", Ok((5, 1)));
    check("5.", Ok((5, 0)));
    check("-.5", Ok((-5, 1)));
    check("007.10", Ok((710, 2)));
}

#[test]
fn white_space_around_is_trimmed() {
    check(" 12.5\t", Ok((125, 1)));
    check("\r\n-3 ", Ok((-3, 0)));
    check("1 2", Err(DecimalError::NotNumeric));
    check("- 3", Err(DecimalError::NotNumeric));
}

#[test]
fn exponents_move_the_point() {
    check("1e3", Ok((1000, 0)));
    check("1.5e-3", Ok((15, 4)));
    check("1.50E1", Ok((150, 1)));
    check("+1.5e+2", Ok((150, 0)));
    check("1e-18", Ok((1, 18)));
    check("1e37", Ok((10_i128.pow(37), 0)));
    check("1e38", Err(DecimalError::Overflow));
    check("1e-19", Err(DecimalError::ScaleExceeded));
    check("100e-20", Ok((1, 18)));
    check("0e999", Ok((0, 0)));
    check("0e-999", Ok((0, 18)));
    check("1e999", Err(DecimalError::Overflow));
    check("1e1000", Err(DecimalError::NotNumeric));
}

#[test]
fn other_texts_are_not_numbers() {
    let texts = [
        "",
        " ",
        "-",
        "+",
        ".",
        "-.",
        "e5",
        "1e",
        "1e+",
        "1e1.5",
        ".e1",
        "1.2.3",
        "1..2",
        "--1",
        "+-1",
        "1-",
        "1,234.56",
        "(12.00)",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "0x10",
        "1_000",
        "1f",
        "£5",
        "５",
        "−1",
        "1e5e5",
        "12345678901234567890x",
    ];
    for text in texts {
        check(text, Err(DecimalError::NotNumeric));
    }
    assert_eq!(Decimal::from_bytes(&[b'1', 0xff]), Err(DecimalError::NotNumeric));
    assert_eq!(Decimal::from_bytes(b"1\0"), Err(DecimalError::NotNumeric));
}

#[test]
fn what_does_not_fit_is_refused_unless_only_zeros_are_too_many() {
    check("0.123456789012345678", Ok((123_456_789_012_345_678, 18)));
    check("0.1234567890123456789", Err(DecimalError::ScaleExceeded));
    check("0.1234567890123456780000", Ok((123_456_789_012_345_678, 18)));
    check("1.00000000000000000000000000000000000000000000000000", Ok((10_i128.pow(18), 18)));
    let most = "99999999999999999999999999999999999999";
    check(most, Ok((10_i128.pow(38) - 1, 0)));
    check(&format!("-{most}"), Ok((1 - 10_i128.pow(38), 0)));
    check(&format!("{most}0"), Err(DecimalError::Overflow));
    check(&format!("{most}.0"), Ok((10_i128.pow(38) - 1, 0)));
    check(&format!("{most}.5"), Err(DecimalError::Overflow));
    check(&format!("0000000000{most}"), Ok((10_i128.pow(38) - 1, 0)));
    check(
        "12345678901234567890.123456789012345678",
        Ok((12_345_678_901_234_567_890_123_456_789_012_345_678, 18)),
    );
    check("123456789012345678901.123456789012345678", Err(DecimalError::Overflow));
}

#[test]
fn the_fast_reader_ends_where_64_bits_may_end() {
    check("999999999999999999", Ok((999_999_999_999_999_999, 0)));
    check("9999999999999999999", Ok((9_999_999_999_999_999_999, 0)));
    check("9999999999.99999999", Ok((999_999_999_999_999_999, 8)));
    check("9999999999.999999999", Ok((9_999_999_999_999_999_999, 9)));
}

#[test]
fn texts_are_exact() {
    for text in ["0", "0.00", "-0.05", "12.50", "-12345678901234567890.123456789012345678", "100"] {
        assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
    }
    assert_eq!(format!("{:>8}", "-0.05".parse::<Decimal>().unwrap()), "   -0.05");
}

#[test]
fn equality_and_hash_are_by_value() {
    let numbers: HashSet<Decimal> =
        ["2.5", "2.50", "2.500", "25e-1"].iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 1);
    assert_ne!("2.5".parse::<Decimal>(), "2.51".parse::<Decimal>());
    assert_ne!("2.5".parse::<Decimal>(), "25".parse::<Decimal>());
    assert_eq!("0.000".parse::<Decimal>(), "0".parse::<Decimal>());
}

#[test]
fn rescaling_never_rounds() {
    let number: Decimal = "12.50".parse().unwrap();
    assert_eq!(number.rescale(4), Some(125_000));
    assert_eq!(number.rescale(1), Some(125));
    assert_eq!(number.rescale(0), None);
    assert_eq!(number.rescale(37), None);
    assert_eq!(Decimal::new(1, 0).unwrap().rescale(37), Some(10_i128.pow(37)));
    assert_eq!(Decimal::new(1, 0).unwrap().rescale(38), None);
    assert_eq!(Decimal::new(1, 0).unwrap().rescale(255), None);
    assert_eq!(number.normalized().scale(), 1);
    assert_eq!(Decimal::new(0, 9).unwrap().normalized().scale(), 0);
}

#[test]
fn construction_checks_the_range() {
    assert!(Decimal::new(10_i128.pow(38) - 1, 18).is_some());
    assert!(Decimal::new(10_i128.pow(38), 0).is_none());
    assert!(Decimal::new(i128::MIN, 0).is_none());
    assert!(Decimal::new(1, 19).is_none());
}

proptest! {
    #[test]
    fn every_number_reads_back_as_it_was_written(mantissa in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0..=18_u8) {
        let number = Decimal::new(mantissa, scale).unwrap();
        let read: Decimal = number.to_string().parse().unwrap();
        prop_assert_eq!((read.mantissa(), read.scale()), (mantissa, scale));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = Decimal::from_bytes(&text);
    }

    // The second reader is the reference of the first: an exponent of nought forces it.
    #[test]
    fn both_readers_agree(text in "[+-]?[0-9]{0,12}\\.?[0-9]{0,12}") {
        let long = Decimal::from_bytes(format!("{text}e0").as_bytes());
        let short = Decimal::from_bytes(text.as_bytes());
        prop_assert_eq!(short.map(|n| (n.mantissa(), n.scale())), long.map(|n| (n.mantissa(), n.scale())));
    }
}
