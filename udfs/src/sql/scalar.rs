//! What all scalar functions share: the adapter to DataFusion, and the loop over the rows of a batch.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::card::Card;
use super::error::FunctionError;
use super::session_rates::SessionRates;
use crate::reason::RowReason;
use crate::rounding::RoundingMode;

/// The constants of a call, by the position of their parameter.
pub(super) type Constants<'a> = &'a [Option<&'a ScalarValue>];

/// A scalar function of ours.
pub(super) trait Kernel: Debug + Eq + Hash + Send + Sync + 'static {
    fn card(&self) -> &'static Card;

    /// Stable if the result depends on the rates of the session.
    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    /// Returns the rates that it is bound to.
    fn rates(&self) -> Option<&SessionRates> {
        None
    }

    /// Returns the type of the result. The types are those of the card.
    fn result_type(&self, types: &[DataType], constants: Constants<'_>) -> Result<DataType>;

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue>;

    /// Rewrites the arguments of a call into others that give the same result.
    fn simplify(&self, arguments: Vec<Expr>, _context: &SimplifyContext) -> Result<Rewrite> {
        Ok(Rewrite::Unchanged(arguments))
    }
}

/// The arguments of a call after a rewrite.
pub(super) enum Rewrite {
    Unchanged(Vec<Expr>),
    Changed(Vec<Expr>),
}

/// A kernel as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Function<K> {
    kernel: Arc<K>,
    signature: Signature,
    documentation: Documentation,
}

/// Returns a kernel as a function of a session.
pub(super) fn scalar_function<K: Kernel>(kernel: K) -> Arc<ScalarUDF> {
    Arc::new(udf(Arc::new(kernel)))
}

fn udf<K: Kernel>(kernel: Arc<K>) -> ScalarUDF {
    let signature = Signature::user_defined(kernel.volatility());
    let documentation = kernel.card().documentation();
    ScalarUDF::new_from_impl(Function { kernel, signature, documentation })
}

impl<K: Kernel> ScalarUDFImpl for Function<K> {
    fn name(&self) -> &str {
        self.kernel.card().name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.kernel.card().coerce(arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("the result of {} is known from its arguments only", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        self.kernel.card().check(&types)?;
        let result = self.kernel.result_type(&types, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(self.name(), result, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.kernel.invoke(&args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.kernel.simplify(args, info)? {
            Rewrite::Unchanged(arguments) => ExprSimplifyResult::Original(arguments),
            Rewrite::Changed(arguments) => {
                ExprSimplifyResult::Simplified(udf(Arc::clone(&self.kernel)).call(arguments))
            }
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Returns the rates that a function is bound to, if it is one over this kernel.
pub(super) fn rates_of<K: Kernel>(function: &ScalarUDF) -> Option<&SessionRates> {
    function.inner().downcast_ref::<Function<K>>()?.kernel.rates()
}

/// What becomes of a row that has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OnRefusal {
    /// The query fails with the reason.
    Fail,
    /// The row's result is null.
    Null,
}

/// The rows that a call computes: those of the batch, or one if all arguments are constants.
pub(super) struct Rows {
    count: usize,
    is_constant: bool,
}

impl Rows {
    pub(super) fn of(args: &ScalarFunctionArgs) -> Self {
        let is_constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let count = if is_constant { args.number_rows.min(1) } else { args.number_rows };
        Self { count, is_constant }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Computes every row in order and gives each result to `keep`.
    ///
    /// The first refusal ends it, in the words of `explain`, unless refusals become nulls.
    pub(super) fn compute<T>(
        &self,
        on_refusal: OnRefusal,
        mut compute: impl FnMut(usize) -> std::result::Result<Option<T>, RowReason>,
        explain: impl Fn(usize, RowReason) -> FunctionError,
        mut keep: impl FnMut(Option<T>),
    ) -> Result<()> {
        for row in 0..self.count {
            match (compute(row), on_refusal) {
                (Ok(value), _) => keep(value),
                (Err(_), OnRefusal::Null) => keep(None),
                (Err(reason), OnRefusal::Fail) => return Err(explain(row, reason).into()),
            }
        }
        Ok(())
    }

    /// Returns the results as a column, or as a constant if all arguments were.
    pub(super) fn finish(&self, results: ArrayRef) -> Result<ColumnarValue> {
        if self.is_constant && self.count == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&results, 0)?));
        }
        Ok(ColumnarValue::Array(results))
    }
}

/// Returns the text of a constant argument.
pub(super) fn constant_text<'a>(
    card: &Card,
    constants: Constants<'a>,
    position: usize,
) -> Result<&'a str, FunctionError> {
    let name = card.parameters.get(position).map_or("", |parameter| parameter.name);
    match constants.get(position).copied().flatten() {
        None => Err(card.refuse(format!(
            "argument `{name}` is not a literal; expected one, since the type of the result depends on it"
        ))),
        Some(value) => match value.try_as_str().flatten() {
            Some(text) => Ok(text),
            None => Err(card.refuse(format!("argument `{name}` is NULL; expected a text literal"))),
        },
    }
}

/// Returns the rounding mode of a call, the default one if it is not given.
pub(super) fn constant_mode(
    card: &Card,
    constants: Constants<'_>,
    position: usize,
) -> Result<RoundingMode, FunctionError> {
    if position >= constants.len() {
        return Ok(RoundingMode::default());
    }
    constant_text(card, constants, position)?.parse().map_err(|error| card.refuse(format!("{error}")))
}

/// Returns the scale of a call's result, if it is given.
pub(super) fn constant_scale(
    card: &Card,
    constants: Constants<'_>,
    position: usize,
) -> Result<Option<u8>, FunctionError> {
    let Some(constant) = constants.get(position) else {
        return Ok(None);
    };
    let found = match constant {
        Some(ScalarValue::Int64(Some(scale))) => Some(*scale),
        Some(other) => other.to_string().parse().ok(),
        None => None,
    };
    match found.map(u8::try_from) {
        Some(Ok(scale)) if scale <= crate::decimal::MAX_SCALE => Ok(Some(scale)),
        _ => {
            let found = constant.map_or_else(|| "not a literal".to_owned(), |value| format!("`{value}`"));
            Err(card.refuse(format!("argument `scale` is {found}; expected an integer literal from 0 to 18")))
        }
    }
}
