use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use proptest::prelude::*;

use super::*;

const LIMIT: i128 = 10_i128.pow(38);

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Rounds `numerator / denominator` (positive) to a whole number, by the definition of the modes.
fn round(numerator: &BigInt, denominator: &BigInt, rounding: RoundingMode) -> BigInt {
    let (quotient, rest) =
        (numerator.magnitude() / denominator.magnitude(), numerator.magnitude() % denominator.magnitude());
    let twice = rest * 2_u8;
    let up = twice > *denominator.magnitude()
        || (twice == *denominator.magnitude() && (rounding == RoundingMode::HalfUp || quotient.is_odd()));
    let magnitude = quotient + u8::from(up);
    BigInt::from_biguint(if numerator.sign() == Sign::Minus { Sign::Minus } else { Sign::Plus }, magnitude)
}

/// The reference: the formula as it is written, in numbers without limit.
fn expected(
    amount: i128,
    source: Decimal,
    target: Decimal,
    scales: (u8, u8),
    rounding: RoundingMode,
) -> Option<i128> {
    let ten = BigInt::from(10);
    let up = u32::from(source.scale()) + u32::from(scales.1);
    let down = u32::from(target.scale()) + u32::from(scales.0);
    let numerator = BigInt::from(amount) * target.mantissa() * ten.pow(up);
    let denominator = BigInt::from(source.mantissa()) * ten.pow(down);
    within(&round(&numerator, &denominator, rounding))
}

fn within(number: &BigInt) -> Option<i128> {
    i128::try_from(number).ok().filter(|result| result.unsigned_abs() < LIMIT.unsigned_abs())
}

fn check(amount: i128, source: Decimal, target: Decimal, scales: (u8, u8)) -> Result<(), TestCaseError> {
    for rounding in RoundingMode::ALL {
        let conversion = Conversion::new(source, target, scales.0, scales.1, rounding);
        let expected = expected(amount, source, target, scales, rounding);
        prop_assert_eq!(conversion.convert(amount), expected, "{} {:?}", rounding, &conversion);
        prop_assert_eq!(conversion.convert_wide(amount), expected, "wide {} {:?}", rounding, &conversion);
        prop_assert_eq!(conversion.convert(-amount), expected.map(|result| -result), "sign");
    }
    Ok(())
}

/// Numbers of every length alike, not only the longest, which a uniform choice would give.
fn magnitude(digits_max: u32) -> impl Strategy<Value = i128> {
    (0..=digits_max).prop_flat_map(|digits| 0..10_i128.pow(digits))
}

fn rate(digits_max: u32) -> impl Strategy<Value = Decimal> {
    (magnitude(digits_max), 0..=MAX_SCALE)
        .prop_map(|(mantissa, scale)| Decimal::new(mantissa.max(1), scale).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_representable_input_is_exact(
        amount in magnitude(38), source in rate(38), target in rate(38), scales in (0..=MAX_SCALE, 0..=MAX_SCALE),
    ) {
        check(amount, source, target, scales)?;
    }

    #[test]
    fn inputs_of_64_bits_are_exact(
        amount in magnitude(19), source in rate(9), target in rate(9), scales in (0..=6_u8, 0..=4_u8),
    ) {
        check(amount, source, target, scales)?;
    }

    // Source rates 2, 20, 0.2, … and odd products: half of the results are ties.
    #[test]
    fn ties_are_exact(
        amount in magnitude(37), twos in 1..=5_u32, source_scale in 0..=MAX_SCALE, target in rate(12), scales in (0..=MAX_SCALE, 0..=MAX_SCALE),
    ) {
        check(amount, Decimal::new(2_i128.pow(twos), source_scale).unwrap(), target, scales)?;
    }

    #[test]
    fn extremes_are_exact(
        amount_gap in 0..3_i128, source_gap in 0..3_i128, target_gap in 0..3_i128, scales in (0..=MAX_SCALE, 0..=MAX_SCALE, 0..=MAX_SCALE, 0..=MAX_SCALE),
    ) {
        let source = Decimal::new(LIMIT - 1 - source_gap, scales.2).unwrap();
        let target = Decimal::new(LIMIT - 1 - target_gap, scales.3).unwrap();
        check(LIMIT - 1 - amount_gap, source, target, (scales.0, scales.1))?;
        check(LIMIT - 1 - amount_gap, Decimal::new(1 + source_gap, scales.2).unwrap(), target, (scales.0, scales.1))?;
        check(1 + amount_gap, source, Decimal::new(1 + target_gap, scales.3).unwrap(), (scales.0, scales.1))?;
    }

    // Denominators and products around 2^63 and 2^64, where a reciprocal would fail first.
    #[test]
    fn the_edges_of_64_bits_are_exact(
        amount_below in 0..4_i128, source_offset in -3..=3_i128, target_offset in -3..=3_i128, bits in (1..=66_u32, 1..=66_u32, 1..=66_u32),
    ) {
        let amount = (1_i128 << bits.0) - amount_below;
        let source = Decimal::new(((1_i128 << bits.1) + source_offset).max(1), 0).unwrap();
        let target = Decimal::new(((1_i128 << bits.2) + target_offset).max(1), 0).unwrap();
        check(amount, source, target, (0, 0))?;
    }

    #[test]
    fn rounding_an_amount_is_exact(mantissa in -(LIMIT - 1)..LIMIT, from_scale in 0..=60_u8, to_scale in 0..=60_u8) {
        for rounding in RoundingMode::ALL {
            let numerator = BigInt::from(mantissa) * BigInt::from(10).pow(u32::from(to_scale));
            let exact = round(&numerator, &BigInt::from(10).pow(u32::from(from_scale)), rounding);
            prop_assert_eq!(round_amount(mantissa, from_scale, to_scale, rounding), within(&exact));
        }
    }

    // One rounding of at most half a minor unit each way, carried through the ratio.
    #[test]
    fn there_and_back_is_within_one_rounding_unit(amount in 0..1_000_000_000_i128, source in 1..10_000_000_i128, target in 1..10_000_000_i128) {
        let (source, target) = (Decimal::new(source, 4).unwrap(), Decimal::new(target, 4).unwrap());
        let there = Conversion::new(source, target, 2, 18, RoundingMode::HalfEven).convert(amount).unwrap();
        let back = Conversion::new(target, source, 18, 2, RoundingMode::HalfEven).convert(there).unwrap();
        prop_assert!((back - amount).abs() <= 1);
    }
}

/// 64-bit numbers around every power of two.
fn edge_64() -> impl Strategy<Value = u64> {
    (0..64_u32, -60..60_i64).prop_map(|(bits, offset)| (1_u64 << bits).wrapping_add_signed(offset))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16_384))]

    #[test]
    fn the_reciprocal_divides_exactly(
        magnitude in prop_oneof![any::<u64>(), edge_64()], numerator in prop_oneof![any::<u64>(), edge_64()], denominator in prop_oneof![any::<u64>(), edge_64()],
    ) {
        // The second pair makes the division exact with a large quotient, where the last correction counts.
        for numerator in [numerator, denominator] {
            let Some(narrow) = Narrow::new(numerator, denominator) else { return Ok(()) };
            let product = u128::from(magnitude) * u128::from(numerator);
            let (quotient, rest) = (product / u128::from(denominator), product % u128::from(denominator));
            let up = 2 * rest >= u128::from(denominator);
            let expected = u64::try_from(quotient).ok().and_then(|quotient| quotient.checked_add(u64::from(up)));
            let found = narrow.convert(i128::from(magnitude), RoundingMode::HalfUp);
            prop_assert_eq!(found, expected.map(i128::from));
        }
    }
}

#[test]
fn amounts_convert_as_by_hand() {
    // 12.34 GBP, 0.638142 GBP and 51.889999 INR per USD (Open Exchange Rates shape):
    // 12.34 * 51.889999 / 0.638142 = 640.32258766 / 0.638142 = 1003.41708… INR.
    let conversion = Conversion::new(decimal("0.638142"), decimal("51.889999"), 2, 2, RoundingMode::HalfEven);
    assert_eq!(conversion.convert(1234), Some(100_342));
    assert_eq!(conversion.convert(-1234), Some(-100_342));
    assert_eq!(conversion.convert(0), Some(0));
    assert!(conversion.is_fast());
    // To a currency without minor units and to one with three: 100.00 at 1 and 157.5, 100.00 at 1 and 0.3077.
    assert_eq!(
        Conversion::new(decimal("1"), decimal("157.5"), 2, 0, RoundingMode::HalfEven).convert(10_000),
        Some(15_750)
    );
    assert_eq!(
        Conversion::new(decimal("1"), decimal("0.3077"), 2, 3, RoundingMode::HalfEven).convert(10_000),
        Some(30_770)
    );
}

#[test]
fn exact_halves_follow_the_mode() {
    // 0.01, 0.03, 0.05 at 2 per 1: 0.005, 0.015, 0.025.
    let even = Conversion::new(decimal("2"), decimal("1"), 2, 2, RoundingMode::HalfEven);
    let up = Conversion::new(decimal("2"), decimal("1"), 2, 2, RoundingMode::HalfUp);
    assert_eq!([1, 3, 5, -1, -3, -5].map(|amount| even.convert(amount).unwrap()), [0, 2, 2, 0, -2, -2]);
    assert_eq!([1, 3, 5, -1, -3, -5].map(|amount| up.convert(amount).unwrap()), [1, 2, 3, -1, -2, -3]);
}

#[test]
fn the_fraction_is_reduced() {
    // 51.20 / 0.64 = 80.
    let conversion = Conversion::new(decimal("0.64"), decimal("51.20"), 2, 2, RoundingMode::HalfEven);
    assert_eq!((conversion.numerator().as_str(), conversion.denominator().as_str()), ("80", "1"));
    // 1 / 3 with two decimals more on the amount than on the result: 1 / 300.
    let conversion = Conversion::new(decimal("3"), decimal("1"), 4, 2, RoundingMode::HalfEven);
    assert_eq!((conversion.numerator().as_str(), conversion.denominator().as_str()), ("1", "300"));
}

#[test]
fn results_beyond_38_digits_are_none() {
    let tenfold = Conversion::new(decimal("1"), decimal("10"), 0, 0, RoundingMode::HalfEven);
    assert_eq!(tenfold.convert(10_i128.pow(37) - 1), Some(10_i128.pow(38) - 10));
    assert_eq!(tenfold.convert(10_i128.pow(37)), None);
    assert_eq!(tenfold.convert(-10_i128.pow(37)), None);
    let huge = Conversion::new(decimal("1e-18"), decimal("1e37"), 0, 18, RoundingMode::HalfEven);
    assert_eq!(huge.convert(LIMIT - 1), None);
    assert_eq!(huge.convert(0), Some(0));
    // The rounding itself adds the digit: 99…99.5 of 38 digits.
    let half = Conversion::new(decimal("2"), decimal("1"), 0, 0, RoundingMode::HalfUp);
    assert_eq!(half.convert(LIMIT - 1), Some(LIMIT / 2));
    assert_eq!(round_amount(LIMIT - 5, 1, 0, RoundingMode::HalfUp), Some(LIMIT / 10));
    assert_eq!(round_amount(LIMIT / 10, 0, 1, RoundingMode::HalfUp), None);
}

#[test]
fn what_is_no_rate_gives_no_result() {
    for (source, target) in [("0", "1"), ("1", "0"), ("-1", "1"), ("1", "-1")] {
        let conversion = Conversion::new(decimal(source), decimal(target), 2, 2, RoundingMode::HalfEven);
        assert_eq!(conversion.convert(100), None);
        assert_eq!(conversion.convert_wide(100), None);
        assert!(!conversion.is_fast());
    }
}

#[test]
fn rounding_an_amount_follows_the_mode() {
    assert_eq!(round_amount(12_345, 3, 2, RoundingMode::HalfEven), Some(1_234));
    assert_eq!(round_amount(12_355, 3, 2, RoundingMode::HalfEven), Some(1_236));
    assert_eq!(round_amount(-12_345, 3, 2, RoundingMode::HalfUp), Some(-1_235));
    assert_eq!(round_amount(12_345, 3, 3, RoundingMode::HalfUp), Some(12_345));
    assert_eq!(round_amount(7, 0, 18, RoundingMode::HalfUp), Some(7 * 10_i128.pow(18)));
    assert_eq!(round_amount(7, 200, 2, RoundingMode::HalfUp), Some(0));
    assert_eq!(round_amount(7, 2, 200, RoundingMode::HalfUp), None);
}

#[test]
fn the_sum_of_a_sale_and_its_refund_is_zero() {
    let conversion = Conversion::new(decimal("0.638142"), decimal("51.889999"), 3, 2, RoundingMode::HalfUp);
    for amount in 0..10_000 {
        assert_eq!(conversion.convert(amount).unwrap() + conversion.convert(-amount).unwrap(), 0);
    }
}
