//! Constants as the JSON of options.

use cambist_jobs::registry::OptionType;
use serde_json::{Map, Value};

use super::literal::Literal;

/// Returns a constant as a value of this type; what was expected where it is none.
pub(super) fn option_value(option_type: OptionType, literal: &Literal) -> Result<Value, &'static str> {
    let (value, expected) = match option_type {
        OptionType::Text => (text(literal), "a text such as 'abc'"),
        OptionType::Place => (text(literal), "a place as a text, such as 's3://bucket/folder'"),
        OptionType::Integer => (integer(literal), "a whole number"),
        OptionType::Number => (number(literal), "a number"),
        OptionType::Decimal => (decimal(literal), "a number"),
        OptionType::Boolean => (boolean(literal), "true or false"),
        OptionType::Date => (date(literal), "a day such as DATE '2024-05-01'"),
        OptionType::Instant => (instant(literal), "an instant such as TIMESTAMP '2024-05-01T06:00:00Z'"),
        OptionType::List | OptionType::Places => (list(literal), "a list of texts such as ['INR', 'SGD']"),
        OptionType::Map => (map(literal), "a map such as MAP {'name': 'value'}, or a JSON object as a text"),
        // A type that this version does not know is checked by the job alone.
        _ => (Some(json(literal)), "a value"),
    };
    value.ok_or(expected)
}

fn text(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Text(text) => Some(Value::String(text.clone())),
        _ => None,
    }
}

fn integer(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Number(number) => number.parse::<i64>().ok().map(Value::from),
        _ => None,
    }
}

fn number(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Number(number) => serde_json::from_str(number).ok().filter(Value::is_number),
        _ => None,
    }
}

/// The digits as they are written: a number of JSON would lose some.
fn decimal(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Number(number) => Some(Value::String(number.clone())),
        _ => None,
    }
}

fn boolean(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Boolean(is_set) => Some(Value::Bool(*is_set)),
        _ => None,
    }
}

fn date(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Date(text) | Literal::Text(text) => {
            text.parse::<jiff::civil::Date>().ok().map(|date| Value::String(date.to_string()))
        }
        _ => None,
    }
}

fn instant(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Timestamp(text) | Literal::Text(text) => {
            text.parse::<jiff::Timestamp>().ok().map(|instant| Value::String(instant.to_string()))
        }
        _ => None,
    }
}

/// A list, or its texts with commas between them.
fn list(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::List(items) => items.iter().map(text).collect(),
        Literal::Text(texts) => Some(texts.split(',').map(|text| Value::from(text.trim())).collect()),
        _ => None,
    }
}

fn map(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Map(_) => Some(json(literal)),
        Literal::Text(text) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    }
}

fn json(literal: &Literal) -> Value {
    match literal {
        Literal::Text(text) | Literal::Date(text) | Literal::Timestamp(text) => Value::String(text.clone()),
        Literal::Number(digits) => {
            serde_json::from_str(digits).unwrap_or_else(|_| Value::String(digits.clone()))
        }
        Literal::Boolean(is_set) => Value::Bool(*is_set),
        Literal::List(items) => items.iter().map(json).collect(),
        Literal::Map(members) => {
            members.iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>().into()
        }
    }
}
