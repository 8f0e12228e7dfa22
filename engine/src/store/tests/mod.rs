use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;

mod retrying;

/// A store that takes create-only for a plain write, as some S3 imitations do.
#[derive(Debug)]
struct Careless(InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(path, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_that_ignores_create_only_is_told_apart() {
    let folder = Location::parse("s3://lake/table/_commits").unwrap();
    let honest = InMemory::new();
    probe_create_only(&honest, &folder).await.unwrap();
    assert!(list_objects(&honest, &folder).await.unwrap().is_empty(), "the probe cleans up");

    let careless = Careless(InMemory::new());
    let refused = probe_create_only(&careless, &folder).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::IgnoresCreateOnly { location } if location == "s3://lake/table/_commits")
    );
    assert!(list_objects(&careless, &folder).await.unwrap().is_empty(), "the probe cleans up");
}

#[tokio::test]
async fn a_local_disk_creates_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Location::parse(folder.path().to_str().unwrap()).unwrap();
    let handle = Stores::new().for_location(&folder).unwrap();
    probe_create_only(handle.store.as_ref(), &folder).await.unwrap();
    assert!(list_objects(handle.store.as_ref(), &folder).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_is_itself_and_a_folder_all_below_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a b/c")).unwrap();
    std::fs::write(folder.path().join("a b/c/2.csv"), "22").unwrap();
    std::fs::write(folder.path().join("a b/1.csv"), "1").unwrap();
    let stores = Stores::new();
    let find = async |relative: &str| {
        let path = folder.path().join(relative);
        let location = Location::parse(path.to_str().unwrap()).unwrap();
        let handle = stores.for_location(&location).unwrap();
        let found = find_objects(&handle, &location).await.unwrap();
        found
            .iter()
            .map(|object| (object.location.filename().unwrap().to_owned(), object.size))
            .collect::<Vec<_>>()
    };
    assert_eq!(find("a b").await, [("1.csv".to_owned(), 1), ("2.csv".to_owned(), 2)]);
    assert_eq!(find("a b/c/2.csv").await, [("2.csv".to_owned(), 2)]);
    assert_eq!(find("missing").await, []);
}

#[tokio::test]
async fn a_registered_store_is_shared() {
    let stores = Stores::new();
    let location = Location::parse("s3://lake/a").unwrap();
    let memory = Arc::new(InMemory::new());
    stores.register(location.place().clone(), StoreHandle::with_multipart(Arc::clone(&memory)));
    let handle = stores.clone().for_location(&location).unwrap();
    handle.store.put(location.path(), PutPayload::from_static(b"x")).await.unwrap();
    assert_eq!(memory.head(location.path()).await.unwrap().size, 1);
    assert!(handle.multipart.is_some());
}
