use super::{check, check_value, refusal};

#[test]
fn numbers_are_read_to_the_last_digit() {
    check(
        "SELECT parse_decimal(s) FROM (VALUES ('12345.67'), (' -0.10 '), ('+.5'), ('5.'), ('1.5e-3'), ('0'), ('0.1')) AS t(s)",
        &[
            "12345.670000000000000000",
            "-0.100000000000000000",
            "0.500000000000000000",
            "5.000000000000000000",
            "0.001500000000000000",
            "0.000000000000000000",
            "0.100000000000000000",
        ],
    );
    check_value("arrow_typeof(parse_decimal('1'))", "Decimal128(38, 18)");
}

#[test]
fn what_is_no_number_is_null() {
    check(
        "SELECT parse_decimal(s) FROM (VALUES (NULL), (''), ('n/a'), ('1,000'), ('NaN'), ('inf'), ('1e'), ('0x10')) AS t(s)",
        &["NULL"; 8],
    );
    check_value("parse_decimal(NULL)", "NULL");
}

/// 20 integer digits and 18 decimals are 38 digits.
#[test]
fn the_largest_number_fits_and_the_next_is_null() {
    check_value(
        "parse_decimal('99999999999999999999.999999999999999999')",
        "99999999999999999999.999999999999999999",
    );
    check_value(
        "parse_decimal('-99999999999999999999.999999999999999999')",
        "-99999999999999999999.999999999999999999",
    );
    check_value("parse_decimal('100000000000000000000')", "NULL");
    check_value("parse_decimal('0.0000000000000000001')", "NULL");
    check_value("parse_decimal('0.1000000000000000000')", "0.100000000000000000");
}

#[test]
fn a_number_is_no_text() {
    assert_eq!(
        refusal("SELECT parse_decimal(5)"),
        "Error during planning: parse_decimal: argument `text` is of type Int64; expected text"
    );
}
