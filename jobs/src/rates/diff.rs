//! `rates diff`: what a correction changed.

use std::collections::{BTreeMap, BTreeSet};

use cambist_engine::rates::ledger::{Ledger, Version};
use cambist_engine::store::Stores;
use cambist_udfs::convert::Conversion;
use cambist_udfs::currency::CurrencyCode;
use cambist_udfs::decimal::Decimal;
use cambist_udfs::rate::{RateDate, Snapshot};
use cambist_udfs::rounding::RoundingMode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::Days;
use super::known::{counting, micros, read};
use crate::error::{JobError, Result};

/// Decimals of a ratio that is shown.
const RATIO_DECIMALS: u8 = 12;
/// Decimals of a percentage that is shown.
const PERCENT_DECIMALS: u8 = 4;
/// So much of a sha256 tells payloads apart in practice, and cannot be taken for a date.
const PREFIX_LENGTH_MIN: usize = 4;

/// What is compared.
#[derive(Clone, Debug)]
pub enum DiffSides {
    /// All that counted at one instant, and at another.
    Known(Timestamp, Timestamp),
    /// Two payloads, each by the beginning of its sha256, or by its day: the version that counts now.
    Versions {
        /// The old one.
        old: String,
        /// The new one.
        new: String,
        /// The present instant.
        now: Timestamp,
    },
}

/// What is compared, and which part of it is wanted.
#[derive(Clone, Debug)]
pub struct DiffRequest {
    /// The two sides.
    pub sides: DiffSides,
    /// Only what this provider published.
    pub provider: Option<String>,
    /// Only this currency.
    pub currency: Option<CurrencyCode>,
    /// Only these days.
    pub days: Days,
}

/// What became of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is another figure.
    Changed,
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
}

/// A rate that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// The day.
    pub rate_date: String,
    /// Who published it.
    pub provider: String,
    /// What it is a rate of one unit of.
    pub base: String,
    /// The currency.
    pub currency: String,
    /// What became of it.
    pub change: Change,
    /// The old rate, as published.
    pub old: Option<String>,
    /// The new rate, as published.
    pub new: Option<String>,
    /// New less old, exact.
    pub difference: Option<String>,
    /// New by old, rounded to 12 decimals; none where that has more than 38 digits.
    pub ratio: Option<String>,
    /// The difference in percent of the old rate, rounded to 4 decimals.
    pub percent: Option<String>,
}

/// What differs, and what that comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// By day, provider and currency.
    #[serde(skip)]
    pub lines: Vec<DiffLine>,
    /// Days on which something differs.
    pub days: u64,
    /// Rates that are other figures.
    pub changed: u64,
    /// Rates that were not there.
    pub added: u64,
    /// Rates that are not there any more.
    pub removed: u64,
    /// Rates that are the same.
    pub unchanged: u64,
}

/// A provider's snapshots of one base, by day.
type Side = BTreeMap<(RateDate, String, CurrencyCode), Snapshot>;

/// Compares two states of the ledger at `url`, or two of its payloads.
///
/// # Errors
/// A usage error where a payload is not there or not the only one; otherwise where it cannot be read.
pub async fn diff(stores: &Stores, url: &str, request: &DiffRequest) -> Result<DiffReport> {
    let ledger = read(stores, url).await?;
    let (mut old, mut new) = match &request.sides {
        DiffSides::Known(old, new) => {
            let versions = ledger.versions();
            (counting(&versions, micros(*old))?, counting(&versions, micros(*new))?)
        }
        DiffSides::Versions { old, new, now } => {
            let find = |text: &str| find(&ledger, text, *now, request.provider.as_deref());
            (find(old)?, find(new)?)
        }
    };
    // Two payloads are compared whatever their days; the new one's is shown.
    if let (DiffSides::Versions { .. }, [old], [new]) = (&request.sides, &mut old[..], &new[..]) {
        old.rate_date = new.rate_date;
    }
    let is_asked = |snapshot: &Snapshot| {
        request.days.has(snapshot.rate_date)
            && request.provider.as_ref().is_none_or(|provider| *provider == snapshot.provider)
    };
    old.retain(is_asked);
    new.retain(is_asked);
    Ok(compare(side(old), side(new), request.currency))
}

fn find(ledger: &Ledger, text: &str, now: Timestamp, provider: Option<&str>) -> Result<Vec<Snapshot>> {
    let versions = ledger.versions();
    let is_asked = |snapshot: &Snapshot| provider.is_none_or(|provider| provider == snapshot.provider);
    if let Some(day) = text.parse::<Date>().ok().map(RateDate::of) {
        let mut counting = counting(&versions, micros(now))?;
        counting.retain(|snapshot| snapshot.rate_date == day && is_asked(snapshot));
        return match counting.len() {
            0 => Err(JobError::usage(format!("no version of {text} counts"))),
            1 => Ok(counting),
            count => Err(JobError::usage(format!(
                "{count} providers have rates of {text}, expected one: name it with --provider"
            ))),
        };
    }
    let prefix = text.to_ascii_lowercase();
    let is_prefix = prefix.len() >= PREFIX_LENGTH_MIN && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_prefix {
        return Err(JobError::usage(format!(
            "`{text}` is neither a day nor the beginning of a sha256 of {PREFIX_LENGTH_MIN} hex digits or more"
        )));
    }
    let found: Vec<&Version<'_>> =
        versions.iter().filter(|version| version.sha256.starts_with(&prefix)).collect();
    let payloads: BTreeSet<&str> = found.iter().map(|version| version.sha256).collect();
    match (found.first(), payloads.len()) {
        (Some(version), 1) => Ok(version.snapshots.to_vec()),
        (None, _) => Err(JobError::usage(format!("no payload's sha256 begins with `{text}`"))),
        (_, count) => {
            Err(JobError::usage(format!("the sha256 of {count} payloads begins with `{text}`, expected one")))
        }
    }
}

fn side(snapshots: Vec<Snapshot>) -> Side {
    let key = |snapshot: &Snapshot| (snapshot.rate_date, snapshot.provider.clone(), snapshot.base);
    snapshots.into_iter().map(|snapshot| (key(&snapshot), snapshot)).collect()
}

fn compare(old: Side, new: Side, currency: Option<CurrencyCode>) -> DiffReport {
    let mut report = DiffReport::default();
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let lines_before = report.lines.len();
        let (old, new) = (old.get(key), new.get(key));
        let codes = |side: Option<&Snapshot>| {
            side.map(|side| side.rates.iter().map(|rate| rate.0).collect::<BTreeSet<_>>()).unwrap_or_default()
        };
        for code in &codes(old) | &codes(new) {
            if currency.is_none_or(|currency| currency == code) {
                report.compare_rate(key, code, quote(old, code), quote(new, code));
            }
        }
        report.days += u64::from(report.lines.len() > lines_before);
    }
    report
}

fn quote(snapshot: Option<&Snapshot>, code: CurrencyCode) -> Option<Decimal> {
    let rates = &snapshot?.rates;
    rates.binary_search_by_key(&code, |rate| rate.0).ok().map(|position| rates[position].1)
}

impl DiffReport {
    fn compare_rate(
        &mut self,
        (rate_date, provider, base): &(RateDate, String, CurrencyCode),
        currency: CurrencyCode,
        old: Option<Decimal>,
        new: Option<Decimal>,
    ) {
        let change = match (old, new) {
            (Some(old), Some(new)) if old == new => {
                self.unchanged += 1;
                return;
            }
            (Some(_), Some(_)) => Change::Changed,
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
        };
        *match change {
            Change::Changed => &mut self.changed,
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
        } += 1;
        let both = old.zip(new);
        let difference = both.and_then(|(old, new)| difference(old, new));
        let text = |decimal: Decimal| decimal.to_string();
        self.lines.push(DiffLine {
            rate_date: rate_date.to_string(),
            provider: provider.clone(),
            base: base.to_string(),
            currency: currency.to_string(),
            change,
            old: old.map(text),
            new: new.map(text),
            difference: difference.map(text),
            ratio: both.and_then(|(old, new)| share(new, Decimal::ONE, old, RATIO_DECIMALS)).map(text),
            percent: both
                .zip(difference)
                .zip(Decimal::new(100, 0))
                .and_then(|(((old, _), difference), hundred)| {
                    share(difference, hundred, old, PERCENT_DECIMALS)
                })
                .map(text),
        });
    }
}

/// New less old, exact, without zeros at the end.
fn difference(old: Decimal, new: Decimal) -> Option<Decimal> {
    let (old, new) = (old.normalized(), new.normalized());
    let scale = old.scale().max(new.scale());
    Decimal::new(new.rescale(scale)?.checked_sub(old.rescale(scale)?)?, scale).map(Decimal::normalized)
}

/// `part * times / whole`, rounded once.
fn share(part: Decimal, times: Decimal, whole: Decimal, decimals: u8) -> Option<Decimal> {
    let conversion = Conversion::new(whole, times, part.scale(), decimals, RoundingMode::HalfEven);
    Decimal::new(conversion.convert(part.mantissa())?, decimals).map(Decimal::normalized)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    /// 0.032 / 32.1 = 0.000996884735202…; 32.068 / 32.1 = 99.9003115264… %, by hand.
    #[test]
    fn what_changed_is_told_exactly() {
        let mut report = DiffReport::default();
        let key = (RateDate(15_286), "openexchangerates".to_owned(), CurrencyCode::parse("USD").unwrap());
        let rub = CurrencyCode::parse("RUB").unwrap();
        report.compare_rate(&key, rub, Some(decimal("32.10")), Some(decimal("0.032")));
        let line = &report.lines[0];
        assert_eq!(line.old.as_deref(), Some("32.10"), "as published");
        assert_eq!(line.difference.as_deref(), Some("-32.068"));
        assert_eq!(line.ratio.as_deref(), Some("0.000996884735"));
        assert_eq!(line.percent.as_deref(), Some("-99.9003"));
        report.compare_rate(&key, rub, Some(decimal("32.10")), Some(decimal("32.1")));
        report.compare_rate(&key, rub, None, Some(decimal("32.1")));
        report.compare_rate(&key, rub, Some(decimal("32.1")), None);
        assert_eq!((report.changed, report.unchanged, report.added, report.removed), (1, 1, 1, 1));
        assert_eq!(report.lines[2].difference, None);
    }

    #[test]
    fn figures_of_any_size_are_compared() {
        let (small, large) = (decimal("0.000000000000000001"), decimal("99999999999999999999"));
        assert_eq!(difference(small, large).unwrap().to_string(), "99999999999999999998.999999999999999999");
        // Their ratio has 38 digits before the point, and a decimal has no more.
        assert!(share(large, Decimal::ONE, small, 0).is_some());
        assert_eq!(share(large, Decimal::ONE, small, 1), None);
    }
}
