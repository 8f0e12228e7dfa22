//! How a result that lies between two representable amounts is brought to one of them.
//!
//! Both modes are symmetric about zero, so that a refund cancels its sale to the last unit.

use std::fmt;
use std::str::FromStr;

/// What becomes of an exact half; everything else goes to the nearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// To the even neighbour: 2.5 and 1.5 both become 2. Bankers' rounding, and the default.
    #[default]
    HalfEven,
    /// Away from zero: 2.5 becomes 3, -2.5 becomes -3. What invoices and tax forms usually ask for.
    HalfUp,
}

impl RoundingMode {
    /// Every mode, in the order in which they are documented.
    pub const ALL: [Self; 2] = [Self::HalfEven, Self::HalfUp];

    /// Returns the name that options and reports use: `half_even` or `half_up`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfEven => "half_even",
            Self::HalfUp => "half_up",
        }
    }

    /// Says whether a magnitude goes up by one, given its last bit and how its rest compares with one half.
    #[inline]
    pub(crate) const fn rounds_up(self, is_odd: bool, is_above_half: bool, is_half: bool) -> bool {
        is_above_half | (is_half & (is_odd | matches!(self, Self::HalfUp)))
    }
}

impl fmt::Display for RoundingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no rounding mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rounding mode `{name}`; expected `half_even` or `half_up`")]
pub struct UnknownRoundingMode {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for RoundingMode {
    type Err = UnknownRoundingMode;

    fn from_str(name: &str) -> Result<Self, UnknownRoundingMode> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| UnknownRoundingMode { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for mode in RoundingMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(RoundingMode::default(), RoundingMode::HalfEven);
    }

    #[test]
    fn an_unknown_name_is_told_what_is_allowed() {
        let error = "HALF_DOWN".parse::<RoundingMode>().unwrap_err();
        assert_eq!(error.to_string(), "unknown rounding mode `HALF_DOWN`; expected `half_even` or `half_up`");
    }
}
