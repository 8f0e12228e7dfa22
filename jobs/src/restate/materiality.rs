//! From which change on a restatement is material: exact decimals against exact sums.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use cambist_engine::exact_sum::ExactSum;
use cambist_udfs::decimal::Decimal;

use crate::error::{JobError, Result};

/// A percent is a hundredth.
const PERCENT_SCALE: u8 = 2;

/// What may change without mattering.
#[derive(Clone, Debug, Default)]
pub struct Materiality {
    amounts: BTreeMap<String, ExactSum>,
    percent: Option<Decimal>,
}

impl Materiality {
    /// Reads amounts such as `INR=1000` and one share such as `0.01%`.
    ///
    /// # Errors
    /// A usage error for what is neither, is negative, or is given twice.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut materiality = Self::default();
        for text in texts {
            let refused =
                |expected: &str| JobError::usage(format!("materiality is `{text}`, expected {expected}"));
            let form = "an amount such as `INR=1000` or a share such as `0.01%`, not negative";
            let number =
                |text: &str| text.trim().parse::<Decimal>().ok().filter(|number| number.mantissa() >= 0);
            if let Some(percent) = text.trim().strip_suffix('%') {
                let percent = number(percent).ok_or_else(|| refused(form))?;
                if materiality.percent.replace(percent).is_some() {
                    return Err(refused("one share only"));
                }
                continue;
            }
            let (code, amount) = text.split_once('=').ok_or_else(|| refused(form))?;
            let amount = number(amount).ok_or_else(|| refused(form))?;
            let amount = ExactSum::parse(&amount.to_string()).ok_or_else(|| refused(form))?;
            let code = code.trim().to_ascii_uppercase();
            if code.is_empty() || materiality.amounts.insert(code, amount).is_some() {
                return Err(refused("each target's amount once"));
            }
        }
        Ok(materiality)
    }

    /// Tells whether anything is said.
    pub fn is_given(&self) -> bool {
        self.percent.is_some() || !self.amounts.is_empty()
    }

    /// Returns the currencies with an amount of their own.
    pub fn currencies(&self) -> impl Iterator<Item = &str> {
        self.amounts.keys().map(String::as_str)
    }

    /// Tells whether a change of `delta` in what was `old_total` of a target matters.
    pub fn is_material(&self, target: &str, delta: &ExactSum, old_total: &ExactSum) -> bool {
        let is_above = |limit: &ExactSum| delta.cmp_magnitude(limit) == Ordering::Greater;
        let is_above_amount = self.amounts.get(target).is_some_and(is_above);
        let is_above_share = self.percent.is_some_and(|percent| {
            let scale = percent.scale() + PERCENT_SCALE;
            // A share beyond 76 digits is beyond any change.
            old_total.times(percent.mantissa(), scale).is_some_and(|limit| is_above(&limit))
        });
        is_above_amount || is_above_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[&str]) -> Result<Materiality> {
        Materiality::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn check(texts: &[&str], target: &str, delta: &str, old_total: &str) -> bool {
        let sum = |text: &str| ExactSum::parse(text).unwrap();
        given(texts).unwrap().is_material(target, &sum(delta), &sum(old_total))
    }

    #[test]
    fn an_amount_is_of_its_target_and_exact() {
        assert!(check(&["INR=1000"], "INR", "-1000.01", "0"));
        assert!(!check(&["INR=1000"], "INR", "1000.00", "0"));
        assert!(!check(&["inr = 1000"], "SGD", "5000", "0"));
        assert!(check(&["INR=0"], "INR", "0.01", "0"));
    }

    /// 0.01 % of 9,747,747.93 is 974.774793.
    #[test]
    fn a_share_is_of_the_old_total() {
        assert!(check(&["0.01%"], "INR", "974.78", "-9747747.93"));
        assert!(!check(&["0.01%"], "INR", "974.77", "9747747.93"));
        assert!(check(&["0.01 %"], "INR", "0.01", "0"), "anything is above a share of nothing");
        assert!(check(&["50%", "INR=3"], "INR", "3.01", "100"), "either is enough");
        assert!(!check(&[], "INR", "5", "1"));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for texts in
            [&["INR"][..], &["=5"], &["INR=-5"], &["x%"], &["-1%"], &["1%", "2%"], &["INR=1", "inr=2"]]
        {
            let text = given(texts).unwrap_err().to_string();
            assert!(text.starts_with("materiality is `") && text.contains("expected"), "{text}");
        }
    }
}
