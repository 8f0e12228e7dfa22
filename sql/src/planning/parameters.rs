//! Parameters of statements: their types from the plan, their values from a batch of one row.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::output::readable_type;
use crate::error::{Result, SqlError};

/// Returns the parameters of a plan, `names` of which the statement has, as columns without their `$`.
pub(crate) fn schema(plan: &LogicalPlan, names: &[String]) -> PlanResult<SchemaRef> {
    let types = plan.get_parameter_types()?;
    let field = |name: &String| {
        let data_type = types.get(name).cloned().flatten();
        Field::new(plain(name), data_type.map_or(DataType::Null, |found| readable_type(&found)), true)
    };
    Ok(Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>())))
}

fn plain(name: &str) -> &str {
    name.strip_prefix('$').unwrap_or(name)
}

/// Takes the values of the parameters `expected` from a batch of one row: by name where the batch has all the
/// names, by position otherwise.
///
/// # Errors
/// Where there are more rows or fewer values, or a value does not fit its parameter's type.
pub(crate) fn values(expected: &SchemaRef, given: &RecordBatch) -> Result<ParamValues> {
    let names: Vec<&str> = expected.fields().iter().map(|field| field.name().as_str()).collect();
    if given.num_columns() != names.len() {
        return Err(SqlError::invalid(format!(
            "{} values are given, the statement has {} parameters{}",
            given.num_columns(),
            names.len(),
            if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
        )));
    }
    if given.num_rows() != 1 {
        let error =
            SqlError::invalid(format!("{} rows of parameters are given, expected one", given.num_rows()));
        return Err(error.with_hint("execute the statement once for each"));
    }
    let columns = given.schema();
    let position = |name: &str| columns.fields().iter().position(|field| plain(field.name()) == name);
    let by_name: Option<Vec<usize>> = names.iter().map(|name| position(name)).collect();
    let positions = by_name.unwrap_or_else(|| (0..names.len()).collect());
    let value = |(field, position): (&Arc<Field>, usize)| value(field, given.column(position).as_ref());
    let values = expected.fields().iter().zip(positions).map(value).collect::<Result<Vec<_>>>()?;
    let is_numbered = names.first().is_some_and(|name| name.parse::<usize>().is_ok());
    if is_numbered || names.is_empty() {
        return Ok(ParamValues::List(values));
    }
    let named: HashMap<String, ScalarAndMetadata> =
        names.into_iter().map(str::to_owned).zip(values).collect();
    Ok(ParamValues::Map(named))
}

/// Text is read as the parameter's type; other values keep their own, which the plan then agrees with.
fn value(expected: &Field, given: &dyn Array) -> Result<ScalarAndMetadata> {
    let does_not_fit = || {
        SqlError::invalid(format!(
            "parameter `{}` is given a value of type {}, expected {}",
            expected.name(),
            given.data_type(),
            expected.data_type()
        ))
    };
    let own = readable_type(given.data_type());
    let is_known = !matches!(expected.data_type(), DataType::Null) && own != DataType::Null;
    if is_known && !can_cast_types(&own, expected.data_type()) {
        return Err(does_not_fit());
    }
    let array = cast(given, &own).map_err(|_| does_not_fit())?;
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8);
    let array = if is_known && is_text(&own) && !is_text(expected.data_type()) {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&array, expected.data_type(), &strict).map_err(|_| does_not_fit())?
    } else {
        array
    };
    let scalar = ScalarValue::try_from_array(&array, 0).map_err(|_| does_not_fit())?;
    Ok(ScalarAndMetadata::from(scalar))
}
