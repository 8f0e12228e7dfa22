//! What the values of a JSON key are, for a column whose type nobody declared.

use cambist_udfs::decimal::Decimal;

use crate::record::column_type::ColumnType;

/// Decimals of an undeclared column of numbers; with 38 digits in all, two such columns can be multiplied.
const NUMBER_SCALE: u8 = 9;

/// What all values seen so far have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// Nothing but `null`.
    #[default]
    Null,
    /// `true` and `false`.
    Bool,
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers of at most nine decimals and 29 integer digits.
    Number,
    /// Anything else, and any mixture.
    Other,
}

impl ValueKind {
    /// Tells what a value is from its JSON text.
    pub(super) fn of(json: &str) -> Self {
        match json.as_bytes() {
            [b'n', ..] => Self::Null,
            [b't' | b'f', ..] => Self::Bool,
            [b'-' | b'0'..=b'9', ..] if json.parse::<i64>().is_ok() => Self::Integer,
            [b'-' | b'0'..=b'9', ..] => {
                let number = Decimal::from_bytes(json.as_bytes()).ok();
                if number.and_then(|number| number.rescale(NUMBER_SCALE)).is_some() {
                    Self::Number
                } else {
                    Self::Other
                }
            }
            _ => Self::Other,
        }
    }

    /// Returns what two sets of values have in common.
    #[must_use]
    pub(crate) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (left, right) if left == right => left,
            (Self::Integer | Self::Number, Self::Integer | Self::Number) => Self::Number,
            _ => Self::Other,
        }
    }

    /// Returns the type of a column of such values.
    pub(crate) fn column_type(self) -> ColumnType {
        match self {
            Self::Bool => ColumnType::Bool,
            Self::Integer => ColumnType::Int64,
            Self::Number => ColumnType::Decimal { precision: 38, scale: NUMBER_SCALE },
            Self::Null | Self::Other => ColumnType::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(values: &[&str]) -> ColumnType {
        values.iter().map(|json| ValueKind::of(json)).fold(ValueKind::Null, ValueKind::merge).column_type()
    }

    #[test]
    fn a_column_has_the_narrowest_type_that_holds_all_its_values() {
        let number = ColumnType::Decimal { precision: 38, scale: 9 };
        assert_eq!(common(&["1", "null", "-7"]), ColumnType::Int64);
        assert_eq!(common(&["1", "2.50", "1e3"]), number);
        assert_eq!(common(&["9223372036854775808"]), number);
        assert_eq!(common(&["true", "false"]), ColumnType::Bool);
        assert_eq!(common(&["1", "\"2\""]), ColumnType::Text);
        assert_eq!(common(&["1", "true"]), ColumnType::Text);
        assert_eq!(common(&["0.1234567891"]), ColumnType::Text);
        assert_eq!(common(&["{}", "null"]), ColumnType::Text);
        assert_eq!(common(&["null"]), ColumnType::Text);
    }
}
