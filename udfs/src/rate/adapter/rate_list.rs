//! The entries of one publication: figures read exactly, refused one by one, the base checked.

use super::Refusal;
use super::excerpt::excerpt;
use super::intake::Intake;
use crate::currency::CurrencyCode;
use crate::decimal::{Decimal, DecimalError};
use crate::rate::snapshot::RateDate;
use crate::reason::{EntryReason, SnapshotReason};

/// More integer digits than this are no price of one unit of money; 20 and 18 decimals together are the 38
/// digits that a column holds.
const RATE_INTEGER_DIGITS_MAX: u32 = 20;

/// The rates of one publication while they are being read.
#[derive(Debug)]
pub(super) struct RateList {
    base: CurrencyCode,
    rate_date: RateDate,
    per_units: Option<Decimal>,
    entries: Vec<(CurrencyCode, Option<Decimal>)>,
}

impl RateList {
    /// Begins the rates of one day.
    pub(super) fn new(base: CurrencyCode, rate_date: RateDate) -> Self {
        Self { base, rate_date, per_units: None, entries: Vec::new() }
    }

    /// States that the figures are for so many units of the base, which is divided out of each of them.
    pub(super) fn per_units(mut self, units: Option<Decimal>) -> Self {
        self.per_units = units;
        self
    }

    pub(super) fn base(&self) -> CurrencyCode {
        self.base
    }

    pub(super) fn rate_date(&self) -> RateDate {
        self.rate_date
    }

    /// Takes one entry, the figure as its text. Returns whether it is usable; the intake has noted why not.
    ///
    /// # Errors
    /// A figure other than 1 for the base: the payload then means something else than it seems to.
    pub(super) fn add(
        &mut self,
        intake: &mut Intake<'_>,
        code_text: &str,
        figure: &str,
    ) -> Result<bool, Refusal> {
        let Some(code) = CurrencyCode::parse(code_text) else {
            let detail = format!("`{code_text}` is no currency code");
            intake.reject(code_text, &detail, EntryReason::RateSuspect, self.rate_date);
            return Ok(false);
        };
        let rate = read_rate(figure, self.per_units);
        if code == self.base {
            return self.check_base(figure, rate);
        }
        if let Err(reason) = rate {
            intake.reject(code_text, figure, reason, self.rate_date);
        }
        self.entries.push((code, rate.ok()));
        Ok(rate.is_ok())
    }

    fn check_base(&self, figure: &str, rate: Result<Decimal, EntryReason>) -> Result<bool, Refusal> {
        if rate.is_ok_and(|rate| rate == Decimal::ONE) {
            return Ok(true);
        }
        let detail = format!("the base {} is listed as `{}`; expected 1", self.base, excerpt(figure));
        Err(Refusal::new(SnapshotReason::SnapshotBaseInvalid, detail))
    }

    /// The usable rates, sorted by code. A code that is listed twice counts if both say the same.
    pub(super) fn finish(mut self, intake: &mut Intake<'_>) -> Vec<(CurrencyCode, Decimal)> {
        self.entries.sort_by_key(|(code, _)| *code);
        let mut rates = Vec::with_capacity(self.entries.len());
        for group in self.entries.chunk_by(|one, other| one.0 == other.0) {
            let Some((code, first)) = group.first() else {
                continue;
            };
            let agree = group.iter().all(|(_, rate)| rate == first);
            match first {
                Some(rate) if agree => rates.push((*code, *rate)),
                _ if agree => {}
                _ => {
                    let detail = format!("{} different figures for one code", group.len());
                    intake.reject(code.as_str(), &detail, EntryReason::RateSuspect, self.rate_date);
                }
            }
        }
        rates.shrink_to_fit();
        rates
    }
}

/// Reads how many units of the base the figures are for; `None` for one.
///
/// # Errors
/// Anything but a positive number.
pub(super) fn read_units(text: &str) -> Result<Option<Decimal>, Refusal> {
    match Decimal::from_bytes(text.trim().as_bytes()) {
        Ok(units) if units == Decimal::ONE => Ok(None),
        Ok(units) if units.mantissa() > 0 => Ok(Some(units)),
        _ => Err(Refusal::malformed(format!(
            "the rates are for `{}` units; expected a positive number",
            excerpt(text)
        ))),
    }
}

fn read_rate(figure: &str, per_units: Option<Decimal>) -> Result<Decimal, EntryReason> {
    let written = Decimal::from_bytes(figure.trim().as_bytes()).map_err(|error| match error {
        DecimalError::NotNumeric => EntryReason::RateNotNumeric,
        DecimalError::ScaleExceeded | DecimalError::Overflow => EntryReason::RateScaleExceeded,
    })?;
    if written.mantissa() <= 0 {
        return Err(EntryReason::RateNonPositive);
    }
    let rate = match per_units {
        Some(units) => divide_exactly(written, units),
        None => Some(written),
    };
    rate.filter(|rate| has_legal_size(*rate)).ok_or(EntryReason::RateScaleExceeded)
}

fn has_legal_size(rate: Decimal) -> bool {
    let bound = 10_i128.checked_pow(RATE_INTEGER_DIGITS_MAX + u32::from(rate.scale()));
    bound.is_none_or(|bound| rate.mantissa() < bound)
}

/// The quotient of two positive decimals, if it is a decimal with at most 18 places.
///
/// In lowest terms `n / d` ends after as many places as the larger of the powers of 2 and 5 in `d`, and not
/// at all if `d` has another factor.
fn divide_exactly(dividend: Decimal, divisor: Decimal) -> Option<Decimal> {
    let (dividend, divisor) = (dividend.normalized(), divisor.normalized());
    let common = greatest_common_divisor(dividend.mantissa(), divisor.mantissa());
    let (numerator, denominator) = (dividend.mantissa() / common, divisor.mantissa() / common);
    let (twos, odd) = strip_factor(denominator, 2);
    let (fives, remainder) = strip_factor(odd, 5);
    if remainder != 1 {
        return None;
    }
    let places = twos.max(fives);
    let mantissa = numerator.checked_mul(10_i128.checked_pow(places)? / denominator)?;
    let scale = i64::from(places) + i64::from(dividend.scale()) - i64::from(divisor.scale());
    let missing_zeros = u32::try_from((-scale).max(0)).ok()?;
    let widened = mantissa.checked_mul(10_i128.checked_pow(missing_zeros)?)?;
    Decimal::new(widened, u8::try_from(scale.max(0)).ok()?)
}

fn greatest_common_divisor(mut one: i128, mut other: i128) -> i128 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// How often `factor` divides `number`, and what is left.
fn strip_factor(mut number: i128, factor: i128) -> (u32, i128) {
    let mut count = 0;
    while number % factor == 0 {
        number /= factor;
        count += 1;
    }
    (count, number)
}
