//! The codec: our operators and bound functions; everything else is Ballista's and DataFusion's.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use cambist_udfs::sql::{BookIdentity, SessionRates, rates_of, scalar_function_named};
use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err, plan_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalPlanNode;

use super::node::{WireNode, decode_node, encode_node, is_ours};
use crate::inline_join::InlineJoin;
use crate::location::Location;
use crate::partition_writer::PartitionWriter;
use crate::query::{RecordScreen, StageEnd};
use crate::rate_join::RateJoin;
use crate::rates::{RateBookRef, RateBooks};
use crate::record_gate::RecordGate;
use crate::store::Stores;
use crate::table::Staging;

/// Returns the codec of plans: what it reads runs with `books` and `stores`, those of the process.
pub fn physical_codec(books: Arc<RateBooks>, stores: Stores) -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(PlanCodec { ballista: BallistaPhysicalExtensionCodec::default(), books, stores })
}

#[derive(Debug)]
struct PlanCodec {
    ballista: BallistaPhysicalExtensionCodec,
    books: Arc<RateBooks>,
    stores: Stores,
}

impl PlanCodec {
    /// Describes one of our operators; the bytes are what its description cannot hold.
    fn describe(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Option<(WireNode, Vec<u8>)>> {
        if node.downcast_ref::<RecordGate>().is_some() {
            return Ok(Some((WireNode::RecordGate, Vec::new())));
        }
        if let Some(screen) = node.downcast_ref::<RecordScreen>() {
            let table = screen.table().to_owned();
            return Ok(Some((WireNode::RecordScreen { table, screening: screen.screening() }, Vec::new())));
        }
        if let Some(end) = node.downcast_ref::<StageEnd>() {
            return Ok(Some((WireNode::StageEnd { bytes_max: end.bytes_max() }, Vec::new())));
        }
        if let Some(join) = node.downcast_ref::<InlineJoin>() {
            return Ok(Some((WireNode::InlineJoin, self.encode_join(join, converter)?)));
        }
        if let Some(join) = node.downcast_ref::<RateJoin>() {
            return Ok(Some((WireNode::RateJoin(join.spec().clone()), Vec::new())));
        }
        if let Some(writer) = node.downcast_ref::<PartitionWriter>() {
            let staging = writer.staging();
            let described = WireNode::PartitionWriter {
                spec: writer.spec().as_ref().clone(),
                root: staging.root().absolute(),
                run_id: staging.run_id().to_owned(),
            };
            return Ok(Some((described, Vec::new())));
        }
        Ok(None)
    }

    fn build(
        &self,
        node: WireNode,
        blob: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = inputs else {
            return internal_err!("{} inputs of an operator, expected one", inputs.len());
        };
        let input = Arc::clone(input);
        Ok(match node {
            WireNode::RecordScan(scan) => scan.decode(&input)?,
            WireNode::RecordGate => Arc::new(RecordGate::try_new(input)?),
            WireNode::RecordScreen { table, screening } => {
                Arc::new(RecordScreen::try_new(input, table, screening)?)
            }
            WireNode::StageEnd { bytes_max } => Arc::new(StageEnd::new(input, bytes_max)),
            WireNode::InlineJoin => Arc::new(self.decode_join(blob, context, converter)?.with_input(input)?),
            WireNode::RateJoin(spec) => Arc::new(RateJoin::try_new(input, Arc::new(spec))?),
            WireNode::PartitionWriter { spec, root, run_id } => {
                let staging = Location::parse(&root).map_err(external)?;
                let staging = Staging::new(&self.stores, &staging, &run_id).map_err(external)?;
                Arc::new(PartitionWriter::new(input, Arc::new(spec), staging))
            }
            WireNode::BoundFunction { .. } => return internal_err!("a function in the place of an operator"),
        })
    }

    /// The probe side travels as the operator's child; the join goes without it.
    fn encode_join(
        &self,
        join: &InlineJoin,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Vec<u8>> {
        let probe = join.children().into_iter().next().map(|probe| probe.schema());
        let probe = probe.ok_or_else(|| internal_datafusion_err!("a join without a probe side"))?;
        let alone = join.with_input(Arc::new(EmptyExec::new(probe)))?;
        let mut bytes = Vec::new();
        converter.execution_plan_to_proto(alone.join(), self)?.try_encode(&mut bytes)?;
        Ok(bytes)
    }

    fn decode_join(
        &self,
        bytes: &[u8],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<InlineJoin> {
        let join = PhysicalPlanNode::try_decode(bytes)?;
        let context = PhysicalPlanDecodeContext::new(context, self);
        InlineJoin::try_new(converter.proto_to_execution_plan(&join, &context)?)
    }

    /// Binds a function to a book that is looked up when the first row needs it: by then the operator
    /// above has loaded it.
    fn bound_function(
        &self,
        name: &str,
        identity: BookIdentity,
        book: RateBookRef,
    ) -> Result<Arc<ScalarUDF>> {
        let books = Arc::clone(&self.books);
        let origin = serde_json::to_string(&book).map_err(external)?;
        let rates = SessionRates::deferred(identity, move || books.get_blocking(&book)).with_origin(origin);
        scalar_function_named(name, Some(&rates))
            .ok_or_else(|| internal_datafusion_err!("no function `{name}` that is bound to rates"))
    }
}

impl PhysicalExtensionCodec for PlanCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !is_ours(buf) {
            return self.ballista.try_decode(buf, inputs, ctx, proto_converter);
        }
        let (node, blob) = decode_node(buf)?;
        self.build(node, blob, inputs, ctx, proto_converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match self.describe(&node, proto_converter)? {
            Some((described, blob)) => {
                buf.extend(encode_node(&described, &blob)?);
                Ok(())
            }
            None => self.ballista.try_encode(node, buf, proto_converter),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        let Some(rates) = rates_of(node) else {
            return self.ballista.try_encode_udf(node, buf);
        };
        let Some(origin) = rates.origin() else {
            return plan_err!(
                "the rates of `{}` are bound to this process alone, expected a pinned book for a plan that leaves it",
                node.name()
            );
        };
        let book = serde_json::from_str(origin).map_err(external)?;
        buf.extend(encode_node(&WireNode::BoundFunction { identity: *rates.identity(), book }, &[])?);
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        if !is_ours(buf) {
            return self.ballista.try_decode_udf(name, buf);
        }
        match decode_node(buf)?.0 {
            WireNode::BoundFunction { identity, book } => self.bound_function(name, identity, book),
            _ => internal_err!("an operator in the place of the function `{name}`"),
        }
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.ballista.try_encode_udaf(node, buf)
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.ballista.try_decode_udaf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.ballista.try_encode_udwf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.ballista.try_decode_udwf(name, buf)
    }

    fn try_encode_higher_order_function(&self, node: &HigherOrderUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.ballista.try_encode_higher_order_function(node, buf)
    }

    fn try_decode_higher_order_function(&self, name: &str, buf: &[u8]) -> Result<Arc<HigherOrderUDF>> {
        self.ballista.try_decode_higher_order_function(name, buf)
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        buf: &mut Vec<u8>,
        ctx: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        self.ballista.try_encode_expr(node, buf, ctx)
    }

    fn try_decode_expr(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        ctx: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        self.ballista.try_decode_expr(buf, inputs, ctx)
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
