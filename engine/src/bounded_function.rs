//! Functions that make much of little, such as `repeat('x', 2000000000)`, with a bound.
//!
//! They take what they need in one call, outside of every memory pool, and with constants already while a plan
//! is made. Here each call estimates what it would make and is refused where that is too much.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// What one call may make for all its rows, by an estimate from above.
const BYTES_MAX: u128 = 256 << 20;

/// Bytes of a number, a date, an instant or an offset.
const VALUE_BYTES: u128 = 8;

/// Bytes of the longest character.
const CHARACTER_BYTES: u128 = 4;

const DAY_NANOSECONDS: i128 = 86_400_000_000_000;

/// How much a call makes, told by its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// A value for each step from one bound to the other.
    Steps,
    /// So many times as the second argument says: the argument of this position.
    Times(usize),
    /// So many characters as the second argument says.
    Characters,
}

/// The functions that are bounded, by their names.
const FUNCTIONS: [(&str, Growth); 7] = [
    ("range", Growth::Steps),
    ("generate_series", Growth::Steps),
    ("repeat", Growth::Times(0)),
    ("array_repeat", Growth::Times(0)),
    ("array_resize", Growth::Times(2)),
    ("lpad", Growth::Characters),
    ("rpad", Growth::Characters),
];

/// Returns the functions that are to take the place of those in `all` that have no bound.
pub(crate) fn bounded_functions(all: &HashMap<String, Arc<ScalarUDF>>) -> Vec<ScalarUDF> {
    let bounded = |(name, growth): (&str, Growth)| {
        let inner = Arc::clone(all.get(name)?.inner());
        Some(ScalarUDF::new_from_impl(Bounded { inner: Inner(inner), growth }))
    };
    FUNCTIONS.into_iter().filter_map(bounded).collect()
}

/// The function itself; equal to every other of its name.
#[derive(Clone, Debug)]
struct Inner(Arc<dyn ScalarUDFImpl>);

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Inner {}

impl std::hash::Hash for Inner {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Inner,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.0.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.0.return_field_from_args(arguments)
    }

    fn is_strict(&self) -> bool {
        self.inner.0.is_strict()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.0.coerce_types(arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.0.documentation()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.growth.bytes(&arguments)?;
        if bytes > BYTES_MAX {
            return exec_err!(
                "{} would make some {} MiB in one call for {} rows, expected at most {} MiB",
                self.name(),
                bytes >> 20,
                arguments.number_rows,
                BYTES_MAX >> 20
            );
        }
        self.inner.0.invoke_with_args(arguments)
    }
}

impl Growth {
    /// Returns the bytes that a call makes for all its rows, or more than those.
    fn bytes(self, arguments: &ScalarFunctionArgs) -> Result<u128> {
        let ScalarFunctionArgs { args, number_rows, .. } = arguments;
        // Constants alone make one value, whatever the rows.
        let is_constant = args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { *number_rows };
        let of_each = match self {
            Self::Steps => return Ok(steps(args, rows)?.saturating_mul(VALUE_BYTES)),
            Self::Characters => {
                return Ok(greatest(args.get(1))?.saturating_mul(CHARACTER_BYTES * rows as u128));
            }
            Self::Times(position) => args.get(position),
        };
        let of_all = match of_each {
            Some(ColumnarValue::Scalar(value)) => value.size() as u128 * rows as u128,
            Some(ColumnarValue::Array(values)) => values.to_data().get_slice_memory_size()? as u128,
            None => 0,
        };
        Ok(greatest(args.get(1))?.saturating_mul(of_all + VALUE_BYTES * rows as u128))
    }
}

/// Returns the greatest number of an argument.
fn greatest(argument: Option<&ColumnarValue>) -> Result<u128> {
    let Some(argument) = argument else { return Ok(0) };
    let numbers = cast(&one_or_all(argument)?, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    Ok(numbers.iter().flatten().filter_map(|number| u128::try_from(number).ok()).max().unwrap_or(0))
}

/// Returns an array of an argument's values; a constant is one value.
fn one_or_all(argument: &ColumnarValue) -> Result<ArrayRef> {
    match argument {
        ColumnarValue::Array(values) => Ok(Arc::clone(values)),
        ColumnarValue::Scalar(value) => value.to_array(),
    }
}

/// Returns how many values the ranges of all rows hold.
fn steps(arguments: &[ColumnarValue], rows: usize) -> Result<u128> {
    let [first, rest @ ..] = arguments else { return Ok(0) };
    if arguments.iter().any(|argument| argument.data_type().is_null()) {
        return Ok(0);
    }
    // A range that is given one number begins with zero.
    let (start, stop, step) = match rest {
        [] => (None, first, None),
        [stop] => (Some(first), stop, None),
        [stop, step, ..] => (Some(first), stop, Some(step)),
    };
    let is_whole = stop.data_type().is_integer();
    let start = start.map(Places::of).transpose()?;
    let stop = Places::of(stop)?;
    let step = match step {
        Some(step) if is_whole => Some(Step::Numbers(Places::of(step)?)),
        Some(step) => {
            Some(Step::Intervals(cast(&one_or_all(step)?, &DataType::Interval(IntervalUnit::MonthDayNano))?))
        }
        None => None,
    };
    let mut count: u128 = 0;
    for row in 0..rows {
        let from = match &start {
            Some(start) => start.at(row),
            None => Some(0),
        };
        let by = match &step {
            Some(step) => step.at(row)?,
            None => Some(1),
        };
        if let (Some(from), Some(to), Some(by)) = (from, stop.at(row), by) {
            // A step of zero is refused by the function itself.
            let apart = (to - from).unsigned_abs();
            count = count.saturating_add(apart / by.unsigned_abs().max(1) + 1);
        }
    }
    Ok(count)
}

enum Step {
    Numbers(Places),
    Intervals(ArrayRef),
}

impl Step {
    /// Returns the step as a number or in nanoseconds, of a month the least that it can have.
    fn at(&self, row: usize) -> Result<Option<i128>> {
        let intervals = match self {
            Self::Numbers(numbers) => return Ok(numbers.at(row)),
            Self::Intervals(intervals) => intervals.as_primitive::<IntervalMonthDayNanoType>(),
        };
        let row = if intervals.len() == 1 { 0 } else { row };
        if intervals.is_null(row) {
            return Ok(None);
        }
        let IntervalMonthDayNano { months, days, nanoseconds } = intervals.value(row);
        let parts = [
            i128::from(months) * 28 * DAY_NANOSECONDS,
            i128::from(days) * DAY_NANOSECONDS,
            nanoseconds.into(),
        ];
        if parts.iter().any(|part| *part < 0) && parts.iter().any(|part| *part > 0) {
            return exec_err!(
                "the step of a range goes forwards and backwards at once, expected one direction"
            );
        }
        Ok(Some(parts.iter().sum()))
    }
}

/// Numbers, or dates and instants of a unit.
struct Places {
    values: Int64Array,
    /// Nanoseconds of one; 1 for numbers.
    unit: i128,
}

impl Places {
    fn of(argument: &ColumnarValue) -> Result<Self> {
        let values = one_or_all(argument)?;
        let (values, unit) = match values.data_type() {
            DataType::Date32 | DataType::Date64 => {
                (cast(&cast(&values, &DataType::Date32)?, &DataType::Int32)?, DAY_NANOSECONDS)
            }
            DataType::Timestamp(TimeUnit::Second, _) => (values, 1_000_000_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => (values, 1_000_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (values, 1_000),
            _ => (values, 1),
        };
        Ok(Self { values: cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), unit })
    }

    /// Returns the value of a row; one value is that of every row.
    fn at(&self, row: usize) -> Option<i128> {
        let row = if self.values.len() == 1 { 0 } else { row };
        self.values.is_valid(row).then(|| i128::from(self.values.value(row)) * self.unit)
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::rates::RateBooks;
    use crate::session::{session, session_config};
    use crate::store::Stores;

    fn context() -> SessionContext {
        session(session_config(2, Arc::new(RateBooks::default())), &Stores::new()).unwrap()
    }

    async fn shown(sql: &str) -> Result<String> {
        let rows = context().sql(sql).await?.collect().await?;
        Ok(pretty_format_batches(&rows)?.to_string())
    }

    #[tokio::test]
    async fn what_would_take_too_much_is_refused() {
        for call in [
            "range(0, 2000000000)",
            "range(2000000000)",
            "generate_series(2000000000, 0, -1)",
            "generate_series(-9223372036854775808, 9223372036854775807, 1)",
            "range(TIMESTAMP '2024-01-01', TIMESTAMP '2025-01-01', INTERVAL '1 microsecond')",
            "repeat('abc', 500000000)",
            "array_repeat(1, 100000000)",
            "list_repeat([1, 2], 100000000)",
            "array_resize([1], 200000000, 0)",
            "lpad('x', 2000000000, 'y')",
            "rpad('x', 2000000000)",
            // For every row.
            "repeat('abcdefgh', v * 10000)",
            "array_repeat(v, 10000)",
            "range(0, v * 100000)",
        ] {
            let sql = format!("SELECT {call} FROM (SELECT value AS v FROM generate_series(1, 8000))");
            let error = shown(&sql).await.unwrap_err().to_string();
            assert!(
                error.contains("MiB in one call") && error.contains("at most 256 MiB"),
                "{call}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn a_range_that_would_never_end_is_refused() {
        let sql = "SELECT generate_series(DATE '2024-01-01', DATE '2024-12-31', INTERVAL '1 month -31 days')";
        let error = shown(sql).await.unwrap_err().to_string();
        assert!(error.contains("forwards and backwards"), "{error}");
    }

    #[tokio::test]
    async fn everything_else_is_made_as_before() {
        for (call, expected) in [
            ("range(1, 4)", "[1, 2, 3]"),
            ("range(3)", "[0, 1, 2]"),
            ("generate_series(3, 1, -1)", "[3, 2, 1]"),
            ("range(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1 month')", "[2024-01-01, 2024-02-01]"),
            ("repeat('ab', 2)", "abab"),
            ("array_repeat('a', 2)", "[a, a]"),
            ("list_resize([1], 2, 9)", "[1, 9]"),
            ("lpad('x', 3, 'y')", "yyx"),
            ("rpad('x', 3)", "x  "),
            ("repeat('a', -1)", " "),
            ("array_repeat(1, 0)", "[]"),
        ] {
            let shown = shown(&format!("SELECT {call} AS made")).await.unwrap();
            assert!(shown.contains(&format!("| {expected}")), "{call}: {shown}");
        }
    }
}
