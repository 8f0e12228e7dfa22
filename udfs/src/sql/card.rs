//! The card of a function: its parameters with their types, and everything its documentation says. One
//! card serves the planner, the registry and the reference page, so that they cannot disagree.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{DocSection, Documentation};

use super::error::FunctionError;
use crate::decimal::MAX_SCALE;

/// Where the functions stand in a listing of all functions of a session.
const SECTION: DocSection = DocSection {
    include: true,
    label: "Money Functions",
    description: Some("Exact amounts, exchange rates and currency codes."),
};

/// What a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ParameterKind {
    /// Text, an integer, or a decimal of at most 18 decimals.
    Amount,
    /// The same without text, for functions whose result's scale is the amount's.
    Number,
    /// Text.
    Text,
    /// A date, a timestamp or text.
    Event,
    /// An integer.
    Integer,
}

impl ParameterKind {
    /// Returns the type that an argument is cast to, or nothing if it is not acceptable.
    fn coerced(self, given: &DataType) -> Option<DataType> {
        match self {
            Self::Amount => number_type(given).or_else(|| text_type(given)),
            Self::Number => number_type(given),
            Self::Text => text_type(given),
            Self::Event => event_type(given),
            Self::Integer => given.is_integer().then_some(DataType::Int64),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Amount => {
                "text, an integer or a decimal of at most 18 decimals; a float is not exact: write the number as text, '12.34', or as a decimal"
            }
            Self::Number => {
                "an integer or a decimal of at most 18 decimals; a float is not exact, and text is read with `parse_decimal`"
            }
            Self::Text => "text",
            Self::Event => "a date, a timestamp, or text such as '2024-05-01'",
            Self::Integer => "an integer",
        }
    }
}

/// One parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: ParameterKind,
    /// Arrow type, precision and scale, unit, nullable.
    pub(super) text: &'static str,
}

/// What is known of a function before it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Card {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// How many parameters, from the first on, must be given.
    pub(super) required: usize,
    /// What the function computes, in one sentence.
    pub(super) computes: &'static str,
    /// Type, precision and scale, unit, nullable.
    pub(super) result: &'static str,
    pub(super) shape: &'static str,
    pub(super) nulls: &'static str,
    pub(super) rounding: &'static str,
    pub(super) errors: &'static str,
    pub(super) cost: &'static str,
    /// A query, and its output as a table of text.
    pub(super) example: (&'static str, &'static str),
    /// The standard or document that the result follows.
    pub(super) source: &'static str,
}

impl Card {
    /// Returns the call as one writes it, optional parameters in brackets.
    pub(super) fn syntax(&self) -> String {
        let mut syntax = format!("{}(", self.name);
        for (position, parameter) in self.parameters.iter().enumerate() {
            let separator = match (position, position >= self.required) {
                (0, _) => "",
                (_, false) => ", ",
                (_, true) => " [, ",
            };
            syntax.push_str(separator);
            syntax.push_str(parameter.name);
        }
        syntax.push_str(&"]".repeat(self.parameters.len() - self.required));
        syntax.push(')');
        syntax
    }

    /// Returns the types to which arguments are cast. What is not acceptable stays as it is: the refusal
    /// is for [`check`](Self::check), whose words reach the user unchanged.
    pub(super) fn coerce(&self, given: &[DataType]) -> Vec<DataType> {
        let kinds =
            self.parameters.iter().map(|parameter| Some(parameter.kind)).chain(std::iter::repeat(None));
        let coerced = |(given, kind): (&DataType, Option<ParameterKind>)| {
            kind.and_then(|kind| kind.coerced(given)).unwrap_or_else(|| given.clone())
        };
        given.iter().zip(kinds).map(coerced).collect()
    }

    /// Refuses a wrong number of arguments and arguments of types that are not acceptable.
    pub(super) fn check(&self, given: &[DataType]) -> Result<(), FunctionError> {
        if !(self.required..=self.parameters.len()).contains(&given.len()) {
            let noun = if given.len() == 1 { "argument" } else { "arguments" };
            return Err(self.refuse(format!("{} {noun} given; expected {}", given.len(), self.syntax())));
        }
        for (parameter, given) in self.parameters.iter().zip(given) {
            if parameter.kind.coerced(given).is_none() {
                let expected = parameter.kind.expected();
                return Err(self.refuse(format!(
                    "argument `{}` is of type {given}; expected {expected}",
                    parameter.name
                )));
            }
        }
        Ok(())
    }

    /// Returns the refusal of a call.
    pub(super) fn refuse(&self, detail: String) -> FunctionError {
        FunctionError::Call { function: self.name, detail }
    }

    /// Returns the card in the form in which DataFusion keeps documentation.
    pub(super) fn documentation(&self) -> Documentation {
        let (sql, output) = self.example;
        let description = format!(
            "{}\n\n{}{}{}{}{}{}",
            sentences(self.computes, "\n"),
            item("Result", self.result),
            item("Shape", &format!("{} {}", self.shape, self.cost)),
            item("Nulls", self.nulls),
            item("Rounding", self.rounding),
            item("Errors", self.errors),
            item("Source", self.source),
        );
        let arguments =
            self.parameters.iter().map(|parameter| (parameter.name.to_owned(), parameter.text.to_owned()));
        let mut documentation = Documentation::builder(SECTION, description, self.syntax())
            .with_sql_example(format!("```sql\n> {sql}\n{output}\n```"))
            .build();
        documentation.arguments = Some(arguments.collect());
        documentation
    }
}

/// Writes a point of a list.
fn item(heading: &str, text: &str) -> String {
    format!("- **{heading}**: {}\n", sentences(text, "\n  "))
}

/// Writes one sentence per line, so that a change of one is a change of one line.
fn sentences(text: &str, line_break: &str) -> String {
    text.replace(". ", &format!(".{line_break}"))
}

fn number_type(given: &DataType) -> Option<DataType> {
    let scale_max = MAX_SCALE.cast_signed();
    match given {
        DataType::Null => Some(DataType::Decimal128(38, 0)),
        // 64 unsigned bits are 20 digits and do not fit a signed integer.
        DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        integer if integer.is_integer() => Some(DataType::Int64),
        DataType::Decimal128(precision, scale) if (0..=scale_max).contains(scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale <= scale_max =>
        {
            Some(DataType::Decimal128(38, (*scale).max(0)))
        }
        DataType::Dictionary(_, values) => number_type(values),
        _ => None,
    }
}

fn text_type(given: &DataType) -> Option<DataType> {
    match given {
        DataType::Null => Some(DataType::Utf8),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(given.clone()),
        DataType::Dictionary(_, values) => text_type(values),
        _ => None,
    }
}

fn event_type(given: &DataType) -> Option<DataType> {
    match given {
        DataType::Null => Some(DataType::Date32),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => Some(given.clone()),
        DataType::Dictionary(_, values) => event_type(values),
        text => text_type(text),
    }
}
