//! The limits of the gates.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ratio::Ratio;
use crate::currency::CurrencyCode;
use crate::decimal::Decimal;

/// Where the gates hold; every limit itself still passes.
///
/// The defaults were measured on 13 years of a real daily feed against the reference rates of the European
/// Central Bank: see `docs/rates.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateOptions {
    /// The largest ratio, upwards or downwards, of a rate to the newest admitted one of one day before; 1 or
    /// more, by default 1.5. Over several days the excess above 1 grows by the day, up to fivefold.
    pub jump_ratio_max: Decimal,
    /// The largest relative difference to the second provider, upwards or downwards; by default 0.05.
    pub cross_tolerance: Decimal,
    /// The most days between a snapshot and the second provider's that it is compared with; by default 5,
    /// the longest time for which the European Central Bank publishes nothing.
    pub cross_age_days_max: u32,
    /// The share of the previous publication's currencies that must be there, in thousandths; by default
    /// 500. Real providers have dropped 36 % of their currencies from one day to the next without fault.
    pub coverage_permille_min: u16,
    /// The currencies without which a snapshot is held; by default none.
    pub required: Vec<CurrencyCode>,
    /// The most days between a snapshot's day and that of its timestamp, and how far the day may be later
    /// than the one that was asked for or that it is received on; by default 1, since real daily files are
    /// stamped at either end of their day.
    pub date_difference_days_max: u32,
    /// The most days by which a snapshot may be older than the day that was asked for, because some
    /// providers answer with their newest day before; by default 5.
    pub closed_days_max: u32,
    /// The most seconds by which a timestamp may be later than the receipt, for clocks that differ; by
    /// default 300.
    pub clock_skew_seconds_max: u32,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            jump_ratio_max: DEFAULT_JUMP_RATIO_MAX,
            cross_tolerance: DEFAULT_CROSS_TOLERANCE,
            cross_age_days_max: 5,
            coverage_permille_min: 500,
            required: Vec::new(),
            date_difference_days_max: 1,
            closed_days_max: 5,
            clock_skew_seconds_max: 300,
        }
    }
}

const fn decimal(mantissa: i128, scale: u8) -> Decimal {
    match Decimal::new(mantissa, scale) {
        Some(decimal) => decimal,
        None => Decimal::ONE,
    }
}

const DEFAULT_JUMP_RATIO_MAX: Decimal = decimal(15, 1);
const DEFAULT_CROSS_TOLERANCE: Decimal = decimal(5, 2);

/// The days after which a larger gap no longer excuses a larger change: a series that rests must not let
/// through what is ten times off.
const JUMP_GAP_DAYS_MAX: u32 = 5;

impl GateOptions {
    /// Refuses limits that no snapshot could meet or that would hold nothing.
    ///
    /// # Errors
    /// A ratio below 1, a tolerance that is not positive or is above 1, a share above 1000.
    pub fn validate(&self) -> Result<(), GateOptionsError> {
        let is_ratio =
            Ratio::of(self.jump_ratio_max).is_some_and(|ratio| ratio.compare(&Ratio::one()).is_ge());
        if !is_ratio {
            return Err(GateOptionsError::JumpRatio { found: self.jump_ratio_max });
        }
        let is_tolerance =
            Ratio::of(self.cross_tolerance).is_some_and(|ratio| ratio.compare(&Ratio::one()).is_le());
        if !is_tolerance {
            return Err(GateOptionsError::CrossTolerance { found: self.cross_tolerance });
        }
        if self.coverage_permille_min > 1000 {
            return Err(GateOptionsError::Coverage { found: self.coverage_permille_min });
        }
        Ok(())
    }

    /// The largest ratio of two rates of one currency so many days apart.
    pub(super) fn jump_limit(&self, gap_days: u32) -> Ratio {
        let gap_days = gap_days.clamp(1, JUMP_GAP_DAYS_MAX);
        let excess = Ratio::of(self.jump_ratio_max).and_then(|ratio| ratio.excess());
        excess.map_or_else(Ratio::one, |excess| excess.one_and(gap_days))
    }

    /// The largest ratio of a rate to what the second provider says.
    pub(super) fn cross_limit(&self) -> Ratio {
        Ratio::of(self.cross_tolerance).map_or_else(Ratio::one, |tolerance| tolerance.one_and(1))
    }
}

/// A limit that is no sensible one: correct the option.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GateOptionsError {
    /// The largest jump.
    #[error("`jump_ratio_max` is `{found}`; expected a ratio of 1 or more, such as 1.5")]
    JumpRatio {
        /// What was given.
        found: Decimal,
    },
    /// The tolerance of the cross-check.
    #[error("`cross_tolerance` is `{found}`; expected a share above 0 and at most 1, such as 0.05")]
    CrossTolerance {
        /// What was given.
        found: Decimal,
    },
    /// The share of currencies.
    #[error("`coverage_permille_min` is `{found}`; expected 0 to 1000")]
    Coverage {
        /// What was given.
        found: u16,
    },
}
