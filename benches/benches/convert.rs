//! The conversion kernel: amounts of everyday size to one target, by the fast way and in 256 bits, and
//! the reading of amounts from text.
//!
//! Every result is compared with one that was worked out by other means before anything is timed.

use std::hint::black_box;

use cambist_udfs::convert::Conversion;
use cambist_udfs::decimal::{Decimal, DecimalError};
use cambist_udfs::rounding::RoundingMode;
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

/// As many rows as a record batch of the engine has by default.
const BATCH_ROWS: usize = 8192;

/// A price of 12.345 GBP at 0.638142 GBP and 51.889999 INR per USD is 640.582037655 / 0.638142 =
/// 1003.823659… INR.
const KNOWN_AMOUNT: i128 = 12_345;
const KNOWN_RESULT: i128 = 100_382;

/// Amounts of 3 decimals from under a pound to some tens of millions, a quarter of them refunds; the same
/// every time (a 64-bit xorshift).
fn amounts() -> Vec<i128> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let magnitude = i128::from((state >> 8) & ((1 << (8 + state % 28)) - 1));
        if state >> 62 == 0 { -magnitude } else { magnitude }
    };
    std::iter::repeat_with(next).take(BATCH_ROWS).collect()
}

/// Rounds half to even by plain division, which everyday numbers allow in 128 bits.
fn expected(amount: i128, numerator: i128, denominator: i128) -> i128 {
    let product = amount.abs() * numerator;
    let (quotient, twice) = (product / denominator, 2 * (product % denominator));
    let up = twice > denominator || (twice == denominator && quotient % 2 == 1);
    (quotient + i128::from(up)) * amount.signum()
}

fn conversion(source: &str, target: &str, amount_scale: u8) -> Result<Conversion, DecimalError> {
    Ok(Conversion::new(source.parse()?, target.parse()?, amount_scale, 2, RoundingMode::HalfEven))
}

fn time(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    amounts: &[i128],
    convert: impl Fn(i128) -> Option<i128>,
) {
    let mut results: Vec<Option<i128>> = vec![None; amounts.len()];
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for (result, amount) in results.iter_mut().zip(black_box(amounts)) {
                *result = convert(*amount);
            }
            black_box(&mut results);
        });
    });
}

fn convert(criterion: &mut Criterion) -> Result<(), DecimalError> {
    let amounts = amounts();
    let everyday = conversion("0.638142", "51.889999", 3)?;
    let precise = conversion("0.638142123456789123", "51.889999123456789123", 3)?;
    assert!(everyday.is_fast() && !precise.is_fast());
    assert_eq!(everyday.convert(KNOWN_AMOUNT), Some(KNOWN_RESULT));
    for amount in &amounts {
        let expected = Some(expected(*amount, 51_889_999, 638_142 * 10));
        assert_eq!((everyday.convert(*amount), everyday.convert_wide(*amount)), (expected, expected));
        assert_eq!(precise.convert(*amount), precise.convert_wide(*amount));
    }

    let mut group = criterion.benchmark_group("convert");
    group.throughput(Throughput::Elements(BATCH_ROWS as u64));
    time(&mut group, "64 bits", &amounts, |amount| everyday.convert(amount));
    time(&mut group, "256 bits, same rates", &amounts, |amount| everyday.convert_wide(amount));
    time(&mut group, "256 bits, rates of 18 decimals", &amounts, |amount| precise.convert(amount));
    group.finish();
    Ok(())
}

fn parse(criterion: &mut Criterion) -> Result<(), DecimalError> {
    let mut texts = Vec::with_capacity(BATCH_ROWS);
    for amount in amounts() {
        let number = Decimal::new(amount, 2).ok_or(DecimalError::Overflow)?;
        assert_eq!(number.to_string().parse::<Decimal>()?.mantissa(), amount);
        texts.push(number.to_string());
    }
    let mut group = criterion.benchmark_group("decimal");
    group.throughput(Throughput::Elements(BATCH_ROWS as u64));
    group.bench_function("from text", |bencher| {
        bencher.iter(|| {
            for text in black_box(&texts) {
                let _ = black_box(Decimal::from_bytes(text.as_bytes()));
            }
        });
    });
    group.finish();
    Ok(())
}

fn run(criterion: &mut Criterion) {
    let result = convert(criterion).and_then(|()| parse(criterion));
    assert_eq!(result, Ok(()), "the bench's own numbers are decimals");
}

criterion_group!(benches, run);
criterion_main!(benches);
