//! Functions of a program's own, beside ours: installed once, before the first session is made.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use datafusion::common::{Result, plan_err};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{AggregateUDF, DocSection, Documentation, ScalarUDF};

use super::registry::{FunctionDescription, FunctionKind, functions};

/// A function of a program's own.
#[derive(Clone, Debug)]
pub enum OwnFunction {
    /// Called once per row.
    Scalar(Arc<ScalarUDF>),
    /// Called once per group of rows.
    Aggregate(Arc<AggregateUDF>),
}

impl OwnFunction {
    /// Returns its name in SQL.
    pub fn name(&self) -> &str {
        match self {
            Self::Scalar(function) => function.name(),
            Self::Aggregate(function) => function.name(),
        }
    }

    /// Returns every name by which SQL finds it.
    fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = match self {
            Self::Scalar(function) => function.aliases(),
            Self::Aggregate(function) => function.aliases(),
        };
        std::iter::once(self.name()).chain(aliases.iter().map(String::as_str))
    }

    pub(super) fn describe(&self) -> FunctionDescription {
        let (kind, doc) = match self {
            Self::Scalar(function) => (FunctionKind::Scalar, function.documentation()),
            Self::Aggregate(function) => (FunctionKind::Aggregate, function.documentation()),
        };
        let undescribed = || {
            let call = format!("{}(…)", self.name());
            Documentation::builder(DocSection::default(), "A function of this program's own.", call).build()
        };
        let doc = doc.cloned().unwrap_or_else(undescribed);
        FunctionDescription { name: self.name().to_owned(), kind, signature: doc.syntax_example.clone(), doc }
    }
}

impl From<ScalarUDF> for OwnFunction {
    fn from(function: ScalarUDF) -> Self {
        Self::Scalar(Arc::new(function))
    }
}

impl From<AggregateUDF> for OwnFunction {
    fn from(function: AggregateUDF) -> Self {
        Self::Aggregate(Arc::new(function))
    }
}

static OWN: OnceLock<Vec<OwnFunction>> = OnceLock::new();

/// Gives every session that this process makes from now on these functions, on schedulers and executors too.
///
/// # Errors
///
/// Where a function has the name of another one, or functions were installed before.
pub fn install_functions(own: Vec<OwnFunction>) -> Result<()> {
    check(&own)?;
    match OWN.set(own) {
        Ok(()) => Ok(()),
        Err(_) => plan_err!("the program's functions are installed already, which is done once"),
    }
}

/// Returns the functions that were installed.
pub(super) fn own_functions() -> &'static [OwnFunction] {
    OWN.get().map_or(&[], Vec::as_slice)
}

/// A function that took another one's place would change what existing SQL means.
fn check(own: &[OwnFunction]) -> Result<()> {
    let state = SessionContext::new().state();
    let of_datafusion = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
    let of_datafusion = of_datafusion.chain(state.window_functions().keys()).cloned();
    let ours = functions().into_iter().map(|function| function.name);
    let mut taken: BTreeSet<String> = of_datafusion.chain(ours).collect();
    for function in own {
        for name in function.names() {
            if !taken.insert(name.to_owned()) {
                return plan_err!("a function `{name}` exists already; give the new one another name");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::{Volatility, create_udf};

    use super::*;

    fn own(name: &str) -> OwnFunction {
        let same = Arc::new(|values: &[datafusion::logical_expr::ColumnarValue]| Ok(values[0].clone()));
        create_udf(name, vec![DataType::Int64], DataType::Int64, Volatility::Immutable, same).into()
    }

    #[test]
    fn a_name_that_has_a_meaning_already_is_refused() {
        let alias = |name: &'static str| match own("fx_margin") {
            OwnFunction::Scalar(function) => {
                OwnFunction::from(function.as_ref().clone().with_aliases([name]))
            }
            aggregate => aggregate,
        };
        for name in ["fx_convert", "sum", "row_number"] {
            let error = check(&[alias(name)]).unwrap_err().strip_backtrace();
            assert!(error.contains(&format!("a function `{name}` exists already")), "{error}");
        }
        assert!(check(&[alias("fx_edge")]).is_ok());
        assert!(check(&[alias("fx_spread"), own("fx_spread")]).is_err());
        for name in ["fx_convert", "money_sum", "sum", "upper", "row_number"] {
            let error = check(&[own(name)]).unwrap_err().strip_backtrace();
            assert!(error.contains(&format!("a function `{name}` exists already")), "{error}");
        }
        assert!(check(&[own("fx_margin"), own("fx_spread")]).is_ok());
        assert!(check(&[own("fx_margin"), own("fx_margin")]).is_err());
    }

    #[test]
    fn a_function_without_documentation_is_listed_all_the_same() {
        let described = own("fx_margin").describe();
        assert_eq!((described.name.as_str(), described.signature.as_str()), ("fx_margin", "fx_margin(…)"));
    }
}
