//! Reads the parts of a Parquet file from an object store.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// The footer of most files is within their last bytes; one request then brings it.
pub(crate) const FOOTER_BYTES: usize = 64 << 10;

/// A Parquet file in an object store, of a size that is known beforehand.
#[derive(Debug)]
pub struct ParquetObject {
    store: Arc<dyn ObjectStore>,
    location: Path,
    size: u64,
}

impl ParquetObject {
    /// Makes a reader of the object at `location`, which has `size` bytes.
    pub fn new(store: Arc<dyn ObjectStore>, location: Path, size: u64) -> Self {
        Self { store, location, size }
    }
}

fn store_error(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ParquetObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        if range.end > self.size {
            // A footer that points beyond its file is damage, not a fault of the store.
            let beyond = format!("bytes {}..{} are beyond the file's {}", range.start, range.end, self.size);
            return futures::future::ready(Err(ParquetError::EOF(beyond))).boxed();
        }
        async move { self.store.get_range(&self.location, range).await.map_err(store_error) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        if let Some(range) = ranges.iter().find(|range| range.end > self.size) {
            let beyond = format!("bytes {}..{} are beyond the file's {}", range.start, range.end, self.size);
            return futures::future::ready(Err(ParquetError::EOF(beyond))).boxed();
        }
        async move { self.store.get_ranges(&self.location, &ranges).await.map_err(store_error) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size = self.size;
        let options = options.map(|options| options.metadata_options().clone());
        let reader = ParquetMetaDataReader::new()
            .with_metadata_options(options)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        reader.load_and_finish(self, size).map_ok(Arc::new).boxed()
    }
}
