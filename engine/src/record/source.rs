//! The readers as a DataFusion file source, to stand inside a `FileScanConfig`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileOpenFuture, FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::proto::ExecutionPlanEncodeCtx;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::stream::{BoxStream, StreamExt, unfold};
use object_store::ObjectStore;

use super::batch::BatchBuilder;
use super::config::{Format, RecordConfig};
use super::csv::Csv;
use super::error::RecordError;
use super::header::Header;
use super::input::{Input, Object};
use super::json::Json;
use super::parquet::{ParquetReader, raw_type};
use super::schema::Layout;
use super::text::{Dialect, Extent, TextOptions, TextReader};
use super::window::Window;
use crate::progress::RunProgress;

const DEFAULT_BATCH_ROWS: usize = 8192;
/// Headers are short: a range that begins inside a file reads this much to find one.
const HEADER_CHUNK_BYTES: usize = 16 << 10;

/// Reads raw files as records. Its schema is the one that [`infer`](super::infer) returns.
///
/// It gives each file as its rows in order, and refuses to have its file groups split anew: how a file
/// may be split is decided by [`plan_groups`](super::plan_groups). A batch holds rows of one file.
#[derive(Clone, Debug)]
pub struct RecordSource {
    config: Arc<RecordConfig>,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
    progress: RunProgress,
}

impl RecordSource {
    /// Makes a source that reads all columns of `schema`, which must end with the hidden columns.
    pub fn new(config: Arc<RecordConfig>, schema: SchemaRef) -> Self {
        let table_schema = TableSchema::from(schema);
        Self {
            config,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_rows: DEFAULT_BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
            progress: RunProgress::default(),
        }
    }

    /// Counts the bytes read in `progress`. The counter is of this process and not part of the plan.
    #[must_use]
    pub fn with_progress(mut self, progress: RunProgress) -> Self {
        self.progress = progress;
        self
    }

    /// Returns how the files are read.
    pub fn config(&self) -> &Arc<RecordConfig> {
        &self.config
    }

    /// Returns the plan node that scans `groups`, one partition each. Partitions do not take files from
    /// one another, so that a partition's rows are the same in every run.
    pub fn into_scan(self, url: ObjectStoreUrl, groups: Vec<FileGroup>) -> Arc<DataSourceExec> {
        let scan = FileScanConfigBuilder::new(url, Arc::new(self))
            .with_file_groups(groups)
            .with_preserve_order(true)
            .build();
        DataSourceExec::from_data_source(scan)
    }
}

impl FileSource for RecordSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.config.validate()?;
        let schema = self.table_schema.file_schema();
        let indices = &self.projection.file_indices;
        let opener = RecordOpener {
            layout: Arc::new(Layout::new(schema, indices, &self.config, self.batch_rows)?),
            schema: Arc::clone(schema),
            config: Arc::clone(&self.config),
            store: object_store,
            progress: self.progress.clone(),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        self.config.format.name()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => f.write_str(", reader=records"),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }

    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn try_to_proto(
        &self,
        base: &FileScanConfig,
        ctx: &ExecutionPlanEncodeCtx<'_>,
    ) -> Result<Option<PhysicalPlanNode>> {
        super::wire::encode(self, base, ctx).map(Some)
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(self.projection.source.iter(), visit)
    }
}

/// Opens the files of one scan.
struct RecordOpener {
    layout: Arc<Layout>,
    schema: SchemaRef,
    config: Arc<RecordConfig>,
    store: Arc<dyn ObjectStore>,
    progress: RunProgress,
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

impl FileOpener for RecordOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let range = file.range.as_ref().map(|range| unsigned(range.start)..unsigned(range.end));
        let scan = FileScan {
            object: Object {
                store: Arc::clone(&self.store),
                meta: file.object_meta,
                progress: self.progress.clone(),
                chunk_bytes: self.config.chunk_bytes,
            },
            layout: Arc::clone(&self.layout),
            schema: Arc::clone(&self.schema),
            config: Arc::clone(&self.config),
        };
        Ok(Box::pin(async move { scan.open(range).await.map_err(DataFusionError::from) }))
    }
}

fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// One file, or one byte range of it, to be read.
struct FileScan {
    object: Object,
    layout: Arc<Layout>,
    schema: SchemaRef,
    config: Arc<RecordConfig>,
}

impl FileScan {
    async fn open(self, range: Option<Range<u64>>) -> Result<Batches, RecordError> {
        if self.config.format == Format::Parquet {
            let raw = raw_type(&self.schema);
            let layout = Arc::clone(&self.layout);
            let reader =
                ParquetReader::open(&self.object, layout, raw, range, self.config.allow_damaged).await?;
            return Ok(stream_of(reader));
        }
        let size = self.object.meta.size;
        match range {
            Some(range) if range.start >= range.end => Ok(nothing()),
            Some(range) if range.start > 0 => self.open_inside(range).await,
            Some(range) if range.end < size => self.open_whole(Some(range.end)).await,
            _ => self.open_whole(None).await,
        }
    }

    /// Opens the file from its beginning.
    async fn open_whole(self, end: Option<u64>) -> Result<Batches, RecordError> {
        let input = match end {
            Some(end) if !self.object.head().await?.is_compressed => Input::open_plain(&self.object, 0..end),
            _ => Input::open(&self.object).await?,
        };
        // Of a compressed file the range that begins it reads all.
        let end = end.filter(|_| !input.is_compressed());
        let mut window = Window::over_file(input).await?;
        let extent = Extent { is_unaligned: false, end, has_numbers: true };
        match self.config.format {
            Format::Csv => {
                let order = if self.config.header {
                    match Header::read(&mut window, self.object.file(), &self.config).await? {
                        Some(header) => self.order(&header)?,
                        None => {
                            // No header, no records; damage, if that is why, is still to be told.
                            window.position = window.buffer.len();
                            Vec::new()
                        }
                    }
                } else {
                    self.unnamed_order()
                };
                let csv = self.csv(order);
                Ok(self.text_stream(window, csv, extent))
            }
            _ => {
                let json = Json::new(&self.config, &self.layout.columns);
                Ok(self.text_stream(window, json, extent))
            }
        }
    }

    /// Opens the file inside, for the records that begin in `range`.
    async fn open_inside(self, range: Range<u64>) -> Result<Batches, RecordError> {
        let head = self.object.head().await?;
        if head.is_compressed || !self.config.is_splittable() {
            return Ok(nothing());
        }
        let has_header = self.config.format == Format::Csv && self.config.header;
        let header = if has_header { self.peek_header().await? } else { None };
        let bom_end = if head.has_bom { Input::bom().len() as u64 } else { 0 };
        let first_record = header.as_ref().map_or(bom_end, |header| header.end);
        if first_record >= range.end || (has_header && header.is_none()) {
            return Ok(nothing());
        }
        let (start, is_unaligned) =
            if first_record >= range.start { (first_record, false) } else { (range.start - 1, true) };
        let window = Window::from_offset(Input::open_plain(&self.object, start..range.end), start);
        let extent = Extent { is_unaligned, end: Some(range.end), has_numbers: false };
        if self.config.format != Format::Csv {
            let json = Json::new(&self.config, &self.layout.columns);
            return Ok(self.text_stream(window, json, extent));
        }
        let order = match header {
            Some(header) => self.order(&header)?,
            None => self.unnamed_order(),
        };
        let csv = self.csv(order);
        Ok(self.text_stream(window, csv, extent))
    }

    /// Reads the header apart from the rest of a plain file.
    async fn peek_header(&self) -> Result<Option<Header>, RecordError> {
        let chunk_bytes = self.object.chunk_bytes.min(HEADER_CHUNK_BYTES);
        let object = Object { progress: RunProgress::default(), chunk_bytes, ..self.object.clone() };
        let range = 0..object.meta.size.min(chunk_bytes as u64);
        let mut window = Window::over_file(Input::open_plain(&object, range)).await?;
        Header::read(&mut window, object.file(), &self.config).await
    }

    fn order(&self, header: &Header) -> Result<Vec<usize>, RecordError> {
        let wanted: Vec<&str> = self.layout.columns.iter().map(|column| column.name.as_str()).collect();
        header.order(&wanted, self.object.file(), "the source")
    }

    fn unnamed_order(&self) -> Vec<usize> {
        (0..self.layout.columns.len()).collect()
    }

    fn csv(&self, order: Vec<usize>) -> Csv {
        let mut csv = Csv::new(&self.config);
        csv.expect(self.layout.columns.len(), order);
        csv
    }

    fn text_stream<D: Dialect + 'static>(self, window: Window, dialect: D, extent: Extent) -> Batches {
        let options = TextOptions {
            file: self.object.file().to_owned(),
            encoding: self.config.encoding,
            record_bytes_max: self.config.max_record_bytes,
            allow_damaged: self.config.allow_damaged,
        };
        let batch = BatchBuilder::new(self.layout, self.object.file());
        let reader = TextReader::new(options, window, dialect, batch, extent);
        stream_of(reader)
    }
}

fn nothing() -> Batches {
    futures::stream::empty().boxed()
}

/// What gives batches one after another.
trait Batched: Send + 'static {
    fn next(&mut self) -> impl Future<Output = Result<Option<RecordBatch>, RecordError>> + Send;
}

impl<D: Dialect + 'static> Batched for TextReader<D> {
    fn next(&mut self) -> impl Future<Output = Result<Option<RecordBatch>, RecordError>> + Send {
        self.next_batch()
    }
}

impl Batched for ParquetReader {
    fn next(&mut self) -> impl Future<Output = Result<Option<RecordBatch>, RecordError>> + Send {
        self.next_batch()
    }
}

/// The batches of a reader; nothing follows an error.
fn stream_of(reader: impl Batched) -> Batches {
    let batches = unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(DataFusionError::from(error)), None)),
        }
    });
    batches.boxed()
}
