use super::super::ratio::Ratio;

#[track_caller]
fn check_text(numerator: &str, denominator: &str, expected: &str) {
    let ratio = |text: &str| Ratio::of(text.parse().unwrap()).unwrap();
    assert_eq!(ratio(numerator).per(&ratio(denominator)).to_string(), expected);
}

#[test]
fn six_or_seven_digits_are_shown() {
    check_text("1", "1", "1");
    check_text("1", "3", "0.333333");
    check_text("2", "3", "0.666667");
    check_text("200", "3", "66.6667");
    check_text("0.000312", "10", "0.0000312");
    check_text("9999999.5", "10000000", "1");
    check_text("1234567890123", "1", "1234567890123");
    check_text("99999999999999999999", "0.000000000000000001", "99999999999999999999000000000000000000");
    check_text("0.000000000000000001", "10000000000", "0.0000000000000000000000000001");
}
