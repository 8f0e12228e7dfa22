//! The constants that an argument may be.

use std::fmt;

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, TypedString, UnaryOperator, Value};

use crate::error::{Result, SqlError};
use crate::statement::redact::is_secret_name;

/// Lists and maps within each other are read so deep.
const DEPTH_MAX: usize = 16;

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    /// As it is written.
    Number(String),
    Boolean(bool),
    /// The text of a `DATE` literal.
    Date(String),
    /// The text of a `TIMESTAMP` literal.
    Timestamp(String),
    List(Vec<Literal>),
    Map(Vec<(String, Literal)>),
}

impl Literal {
    /// Reads a constant; `place` tells an error whose it is.
    pub(super) fn of(value: &Expr, place: &str) -> Result<Self> {
        read(value, place, DEPTH_MAX)
    }
}

fn read(value: &Expr, place: &str, depth: usize) -> Result<Literal> {
    let Some(inner) = depth.checked_sub(1) else {
        return Err(SqlError::invalid(format!("{place} has more than {DEPTH_MAX} lists within each other")));
    };
    let refused = || {
        let found = if is_secret_name(place) { "no constant".to_owned() } else { format!("`{value}`") };
        SqlError::invalid(format!(
            "{place} is {found}, expected a constant: a text, a number, true or false, DATE '…', \
             TIMESTAMP '…', a list ['…', '…'] or MAP {{'name': '…'}}"
        ))
    };
    match value {
        Expr::Nested(value) => read(value, place, inner),
        Expr::Value(value) => constant(&value.value, place).ok_or_else(refused)?,
        Expr::UnaryOp { op, expr } => match (op, read(expr, place, inner)?) {
            (UnaryOperator::Plus, Literal::Number(number)) => Ok(Literal::Number(number)),
            (UnaryOperator::Minus, Literal::Number(number)) if !number.starts_with('-') => {
                Ok(Literal::Number(format!("-{number}")))
            }
            _ => Err(refused()),
        },
        Expr::TypedString(typed) => typed_text(typed).ok_or_else(refused),
        Expr::Array(array) => {
            let items = array.elem.iter().map(|item| read(item, place, inner));
            Ok(Literal::List(items.collect::<Result<_>>()?))
        }
        Expr::Map(map) => {
            let mut members = Vec::new();
            for entry in &map.entries {
                let Literal::Text(key) = read(&entry.key, place, inner)? else { return Err(refused()) };
                add(&mut members, key, read(&entry.value, place, inner)?, place)?;
            }
            Ok(Literal::Map(members))
        }
        Expr::Dictionary(fields) => {
            let mut members = Vec::new();
            for field in fields {
                add(&mut members, key_of(&field.key), read(&field.value, place, inner)?, place)?;
            }
            Ok(Literal::Map(members))
        }
        _ => Err(refused()),
    }
}

fn constant(value: &Value, place: &str) -> Option<Result<Literal>> {
    Some(Ok(match value {
        Value::Number(number, _) => Literal::Number(number.clone()),
        Value::Boolean(is_set) => Literal::Boolean(*is_set),
        Value::Null => {
            return Some(Err(SqlError::invalid(format!(
                "{place} is NULL: leave an argument without a value out"
            ))));
        }
        Value::Placeholder(name) => {
            return Some(Err(SqlError::invalid(format!(
                "{place} is the parameter {name}, expected a constant: a CALL takes no parameters"
            ))));
        }
        Value::SingleQuotedByteStringLiteral(_)
        | Value::DoubleQuotedByteStringLiteral(_)
        | Value::HexStringLiteral(_) => return None,
        text => Literal::Text(text.clone().into_string()?),
    }))
}

fn typed_text(typed: &TypedString) -> Option<Literal> {
    let text = typed.value.clone().into_string()?;
    match &typed.data_type {
        DataType::Date => Some(Literal::Date(text)),
        DataType::Timestamp(..) => Some(Literal::Timestamp(text)),
        _ => None,
    }
}

fn key_of(key: &Ident) -> String {
    key.value.clone()
}

fn add(members: &mut Vec<(String, Literal)>, key: String, value: Literal, place: &str) -> Result<()> {
    if members.iter().any(|(known, _)| *known == key) {
        return Err(SqlError::invalid(format!("{place} has `{key}` twice")));
    }
    members.push((key, value));
    Ok(())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the text '{text}'"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Boolean(is_set) => write!(f, "{is_set}"),
            Self::Date(date) => write!(f, "DATE '{date}'"),
            Self::Timestamp(instant) => write!(f, "TIMESTAMP '{instant}'"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a map"),
        }
    }
}
