//! A scan on its way to another process.
//!
//! DataFusion carries file groups, schema and projection of its own scans; ours travels inside one of
//! those, with what that form has no place for: how the files are read, and which version of each file was
//! planned, so that a file that is replaced before its task runs is refused and not misread.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::proto::ExecutionPlanEncodeCtx;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{JsonScanExecNode, PhysicalExtensionNode, PhysicalPlanNode};
use serde::{Deserialize, Serialize};

use super::config::RecordConfig;
use super::source::RecordSource;
use crate::distributed::{WireNode, encode_node};

/// What the carrying scan has no place for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WireScan {
    config: RecordConfig,
    preserve_order: bool,
    /// Of each file of each group.
    versions: Vec<Vec<FileVersion>>,
}

/// How a store tells the versions of a file apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileVersion {
    e_tag: Option<String>,
    version: Option<String>,
}

/// Encodes the scan of `source` that `scan` describes.
pub(super) fn encode(
    source: &RecordSource,
    scan: &FileScanConfig,
    context: &ExecutionPlanEncodeCtx<'_>,
) -> Result<PhysicalPlanNode> {
    // Of the built-in scans the one with the fewest settings of its own.
    let carrier = JsonScanExecNode { base_conf: Some(scan.try_to_proto(context)?) };
    let carrier = PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::JsonScan(carrier)) };
    let node = WireNode::RecordScan(WireScan {
        config: source.config().as_ref().clone(),
        preserve_order: scan.preserve_order,
        versions: scan.file_groups.iter().map(|group| group.iter().map(version).collect()).collect(),
    });
    let extension = PhysicalExtensionNode { node: encode_node(&node, &[])?, inputs: vec![carrier] };
    Ok(PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Extension(extension)) })
}

fn version(file: &PartitionedFile) -> FileVersion {
    let meta = &file.object_meta;
    FileVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

impl WireScan {
    /// Makes the scan of what carried it.
    pub(crate) fn decode(self, carrier: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let no_scan =
            || internal_datafusion_err!("a record scan travels in a file scan, found {}", carrier.name());
        let carrier = carrier.downcast_ref::<DataSourceExec>().ok_or_else(no_scan)?;
        let carrier: &dyn Any = carrier.data_source().as_ref();
        let scan: FileScanConfig = carrier.downcast_ref::<FileScanConfig>().ok_or_else(no_scan)?.clone();
        let groups = self.versioned(&scan.file_groups)?;
        let carried = scan.file_source();
        let source =
            RecordSource::new(Arc::new(self.config), Arc::clone(carried.table_schema().file_schema()));
        let source: Arc<dyn FileSource> = match carried.projection() {
            Some(projection) => source
                .try_pushdown_projection(projection)?
                .ok_or_else(|| internal_datafusion_err!("a record scan takes every projection"))?,
            None => Arc::new(source),
        };
        let scan = FileScanConfigBuilder::from(scan)
            .with_source(source)
            .with_file_groups(groups)
            .with_preserve_order(self.preserve_order)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn versioned(&self, groups: &[FileGroup]) -> Result<Vec<FileGroup>> {
        let differs = || internal_datafusion_err!("a record scan with other files than versions of files");
        if groups.len() != self.versions.len() {
            return Err(differs());
        }
        let with_versions = |(group, versions): (&FileGroup, &Vec<FileVersion>)| {
            if group.len() != versions.len() {
                return Err(differs());
            }
            let files = group.iter().zip(versions).map(|(file, version)| {
                let mut file = file.clone();
                file.object_meta.e_tag.clone_from(&version.e_tag);
                file.object_meta.version.clone_from(&version.version);
                file
            });
            Ok(FileGroup::new(files.collect()))
        };
        groups.iter().zip(&self.versions).map(with_versions).collect()
    }
}
