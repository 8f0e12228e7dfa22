//! Which provider's shape a JSON document has, told from its members, and how that shape states base, time
//! and figures.

use super::dating::{self, DocumentTimes};
use super::excerpt::excerpt;
use super::intake::Intake;
use super::json::{self, Members, is_object, is_string, scalar_text};
use super::rate_list::{RateList, read_units};
use super::{Refusal, error_body, manual};
use crate::currency::CurrencyCode;
use crate::decimal::Decimal;
use crate::rate::snapshot::RateDate;
use crate::reason::{EntryReason, SnapshotReason};

/// How many member names a refusal lists.
const LISTED_KEYS_MAX: usize = 12;

/// Reads a JSON document of any provider.
pub(super) fn read_document(intake: &mut Intake<'_>, text: &str) -> Result<(), Refusal> {
    if is_string(text) {
        return Err(error_body::refuse_string(text));
    }
    let text = json::quote_non_finite(text);
    let body = Members::parse(&text)?;
    error_body::refuse_error_body(&body)?;
    if manual::is_manual(&body) {
        return manual::read(intake, &body);
    }
    Publication::identify(&body)?.read(intake)
}

/// What a document publishes, whatever its shape.
struct Publication<'a> {
    provider: &'static str,
    base: CurrencyCode,
    /// The JSON text of the table: code to figure, or day to such a table.
    table: &'a str,
    /// Every code in the table begins with the base's: `USDINR`.
    prefixed: bool,
    /// The figures are for so many units of the base.
    per_units: Option<Decimal>,
    times: DocumentTimes<'a>,
}

impl<'a> Publication<'a> {
    fn identify(body: &Members<'a>) -> Result<Self, Refusal> {
        if (body.has("request") && body.has("response")) || (body.has("query") && body.has("result")) {
            return Err(Refusal::malformed("the answer to one conversion is no snapshot of rates"));
        }
        if let Some(table) = body.get("quotes")? {
            let base = base_of(body, "source")?;
            let times = times_of(body, "timestamp")?;
            let provider = "currencylayer";
            return Ok(Self { provider, base, table, prefixed: true, per_units: None, times });
        }
        if let Some(table) = body.get("exchange_rates")? {
            let base = base_of(body, "base")?;
            let times = times_of(body, "last_updated")?;
            let provider = "abstractapi";
            return Ok(Self { provider, base, table, prefixed: false, per_units: None, times });
        }
        if let Some(table) = body.get("rates")? {
            return Self::identify_rates(body, table);
        }
        if body.has("rates") || body.has("quotes") || body.has("exchange_rates") {
            return Err(Refusal::new(SnapshotReason::SnapshotEmpty, "the document's rates are null"));
        }
        Self::identify_by_key(body)
    }

    /// The shapes that call their table `rates`.
    fn identify_rates(body: &Members<'a>, table: &'a str) -> Result<Self, Refusal> {
        if body.has("target") && !body.has("base") {
            // The reciprocal of a decimal is in general none, so turning the figures around would round them.
            return Err(Refusal::malformed(
                "the figures are prices of each code in the `target` currency; \
                 expected units of each currency per one unit of a `base`",
            ));
        }
        let base = base_of(body, "base")?;
        let per_units = body.get("amount")?.map(|text| read_units(&scalar_text(text))).transpose()?.flatten();
        let times = times_of(body, "timestamp")?;
        Ok(Self { provider: provider_of(body), base, table, prefixed: false, per_units, times })
    }

    /// The shape of currency-api: a date, and a table under the base's own lower-case code.
    fn identify_by_key(body: &Members<'a>) -> Result<Self, Refusal> {
        let mut tables = body.iter().filter(|(key, value)| {
            is_object(value) && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        let is_pair = body.iter().count() == 2 && body.has("date");
        let Some((key, table)) = tables.next().filter(|_| is_pair) else {
            return Err(unknown_shape(body));
        };
        let base = CurrencyCode::parse(key).ok_or_else(|| unknown_shape(body))?;
        let times = DocumentTimes { date: body.get("date")?, timestamp: None };
        Ok(Self { provider: "currency-api", base, table, prefixed: false, per_units: None, times })
    }

    fn read(&self, intake: &mut Intake<'_>) -> Result<(), Refusal> {
        if is_absent(self.table) {
            return Ok(());
        }
        if !is_object(self.table) {
            let detail = format!("the rates are `{}`; expected an object", excerpt(self.table));
            return Err(Refusal::malformed(detail));
        }
        let table = Members::parse(self.table)?;
        let has_days = table.iter().any(|(key, _)| dating::has_date_form(key));
        let only_objects = !table.is_empty() && table.iter().all(|(_, value)| is_object(value));
        if has_days || only_objects {
            return self.read_series(intake, &table);
        }
        let (rate_date, valid_at) = self.times.resolve(intake)?;
        let list = self.read_day(intake, &table, rate_date)?;
        intake.publish(self.provider, list, valid_at);
        Ok(())
    }

    /// Reads a table of days. A timestamp beside it is that of the request and dates none of them.
    fn read_series(&self, intake: &mut Intake<'_>, table: &Members<'_>) -> Result<(), Refusal> {
        for (day, rates) in table.iter() {
            if !dating::has_date_form(day) {
                return Err(Refusal::malformed(format!(
                    "the entry `{}` is no day and `{}` no figure; expected one figure per code \
                     (no candle, change or bid and ask), or days as `2011-12-01`",
                    excerpt(day),
                    excerpt(rates)
                )));
            }
            let rate_date = dating::stated_date(day)?;
            let day_table = if is_absent(rates) { Members::default() } else { Members::parse(rates)? };
            let list = self.read_day(intake, &day_table, rate_date)?;
            intake.publish(self.provider, list, None);
        }
        Ok(())
    }

    fn read_day(
        &self,
        intake: &mut Intake<'_>,
        table: &Members<'_>,
        rate_date: RateDate,
    ) -> Result<RateList, Refusal> {
        let mut list = RateList::new(self.base, rate_date).per_units(self.per_units);
        for (key, value) in table.iter() {
            let figure = scalar_text(value);
            let Some(code) = self.code_of(key) else {
                let detail = format!("`{key}` does not begin with the source {}", self.base);
                intake.reject(key, &detail, EntryReason::RateSuspect, rate_date);
                continue;
            };
            let usable = list.add(intake, code, &figure)?;
            if usable && is_string(value) {
                intake.count_quoted();
            }
        }
        Ok(list)
    }

    /// The code in a key of the table.
    fn code_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        if !self.prefixed {
            return Some(key);
        }
        let (prefix, code) = key.split_at_checked(self.base.as_str().len())?;
        prefix.eq_ignore_ascii_case(self.base.as_str()).then_some(code)
    }
}

/// True for a table that is null, or empty as PHP writes it.
fn is_absent(table: &str) -> bool {
    matches!(table, "null" | "[]")
}

/// Tells the providers apart that share `base` and `rates`; what cannot be told apart is `fixer`'s shape.
fn provider_of(body: &Members<'_>) -> &'static str {
    if body.has("amount") {
        return "frankfurter";
    }
    if body.has("disclaimer") || body.has("license") {
        return "openexchangerates";
    }
    let stamped_only = body.has("timestamp") && !body.has("date") && !body.has("success");
    if stamped_only { "openexchangerates" } else { "fixer" }
}

/// Reads the code of the base.
///
/// # Errors
/// Where there is none.
pub(super) fn base_of(body: &Members<'_>, key: &str) -> Result<CurrencyCode, Refusal> {
    let found = match body.get(key)? {
        Some(value) if is_string(value) => match CurrencyCode::parse(&scalar_text(value)) {
            Some(code) => return Ok(code),
            None => format!("`{key}` is `{}`", excerpt(value)),
        },
        Some(value) => format!("`{key}` is `{}`", excerpt(value)),
        None => format!("the document has no `{key}`"),
    };
    let detail = format!("{found}; expected the currency code of the base");
    Err(Refusal::new(SnapshotReason::SnapshotBaseInvalid, detail))
}

fn times_of<'a>(body: &Members<'a>, timestamp_key: &str) -> Result<DocumentTimes<'a>, Refusal> {
    Ok(DocumentTimes { date: body.get("date")?, timestamp: body.get(timestamp_key)? })
}

fn unknown_shape(body: &Members<'_>) -> Refusal {
    let keys: Vec<String> =
        body.iter().take(LISTED_KEYS_MAX).map(|(key, _)| format!("`{}`", excerpt(key))).collect();
    Refusal::malformed(format!(
        "an object with the members [{}] is of no known shape; expected `rates`, `quotes` or `exchange_rates`",
        keys.join(", ")
    ))
}
