use std::io;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use super::*;
use crate::record::RecordError;
use crate::store::StoreError;
use crate::table::TableError;

fn store_error(source: object_store::Error) -> StoreError {
    StoreError::Request { action: "write", path: "s3://lake/t/a".to_owned(), source }
}

fn unavailable() -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: "503 Slow Down".into() }
}

fn forbidden() -> object_store::Error {
    object_store::Error::PermissionDenied { path: "t/a".to_owned(), source: "403".into() }
}

fn kind(error: &DataFusionError) -> FailureKind {
    TaskFailure::of(error).kind
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[test]
fn a_busy_store_is_worth_another_task_and_a_refusing_one_is_not() {
    assert_eq!(kind(&external(TableError::Store(store_error(unavailable())))), FailureKind::Transient);
    assert_eq!(kind(&external(TableError::Store(store_error(forbidden())))), FailureKind::Refused);
    assert_eq!(kind(&external(store_error(unavailable()))), FailureKind::Transient);
    assert_eq!(kind(&DataFusionError::ObjectStore(Box::new(unavailable()))), FailureKind::Transient);
    assert_eq!(kind(&DataFusionError::ObjectStore(Box::new(forbidden()))), FailureKind::Refused);
    let read = RecordError::Store { file: "a.csv".to_owned(), source: unavailable() };
    assert_eq!(kind(&DataFusionError::from(read)), FailureKind::Transient);
    let read = RecordError::Store { file: "a.csv".to_owned(), source: forbidden() };
    assert_eq!(kind(&DataFusionError::from(read)), FailureKind::Refused);
}

#[test]
fn a_full_disk_is_found_wherever_it_shows() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let write = TableError::Io { action: "write", path: "/t/a".to_owned(), source: full() };
    let failure = TaskFailure::of(&external(write));
    assert_eq!(failure.kind, FailureKind::Resources);
    assert!(failure.hint.unwrap().contains("disk"));
    let local = object_store::Error::Generic { store: "LocalFileSystem", source: full().into() };
    assert_eq!(kind(&external(store_error(local))), FailureKind::Resources);
    assert_eq!(kind(&DataFusionError::IoError(full())), FailureKind::Resources);
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let write = TableError::Io { action: "write", path: "/t/a".to_owned(), source: denied };
    assert_eq!(kind(&external(write)), FailureKind::Refused);
}

#[test]
fn memory_values_and_defects_are_told_apart() {
    assert_eq!(kind(&DataFusionError::ResourcesExhausted("pool".to_owned())), FailureKind::Resources);
    let cast = ArrowError::CastError("`x` is no number".to_owned());
    assert_eq!(kind(&DataFusionError::ArrowError(Box::new(cast), None)), FailureKind::Data);
    assert_eq!(kind(&DataFusionError::Internal("oops".to_owned())), FailureKind::Internal);
    let damaged = RecordError::DamagedFile { file: "a.gz".to_owned(), detail: "cut short".to_owned() };
    assert_eq!(kind(&external(damaged)), FailureKind::Data);
    let missing = RecordError::Empty { files: 3 };
    assert_eq!(kind(&external(missing)), FailureKind::Usage);
}

#[test]
fn wrapping_hides_nothing() {
    let inner = external(TableError::Store(store_error(unavailable())));
    let shared = DataFusionError::Shared(Arc::new(inner.context("while joining")));
    assert_eq!(kind(&shared), FailureKind::Transient);
    let arrow = ArrowError::ExternalError(Box::new(store_error(forbidden())));
    assert_eq!(kind(&DataFusionError::ArrowError(Box::new(arrow), None)), FailureKind::Refused);
}

#[tokio::test]
async fn a_panic_says_what_it_said() {
    let join = tokio::spawn(async { panic!("odd {}", 7) }).await.unwrap_err();
    let failure = TaskFailure::of_join(join);
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(failure.message, "a task panicked: odd 7");
}

fn odd_failure(kind: FailureKind) -> TaskFailure {
    TaskFailure {
        kind,
        message: "value `\"ä\\n\u{200b}\"` of\n\"C:\\x\" \u{1f4b6}".to_owned(),
        hint: Some("say \"so\"".to_owned()),
    }
}

#[test]
fn a_failure_survives_texts_and_quotations() {
    let failure = odd_failure(FailureKind::Transient);
    let error = failure.clone().into_error();
    let texts = [
        error.to_string(),
        format!("{error:?}"),
        format!("Task failed due to IO error: {:?}, giving up", Some(&error)),
        format!("{:?}", error.to_string()),
        format!("{:?}", format!("{:?}", error.to_string())),
    ];
    for text in texts {
        assert_eq!(TaskFailure::in_text(&text).as_ref(), Some(&failure), "{text}");
    }
    assert_eq!(TaskFailure::in_text("Task failed"), None);
    assert_eq!(TaskFailure::of(&error), failure);
}

#[test]
fn only_what_another_task_may_mend_is_an_io_error() {
    for kind in [FailureKind::Transient, FailureKind::Resources, FailureKind::Panic] {
        let error = odd_failure(kind).into_error();
        assert!(matches!(error.find_root(), DataFusionError::IoError(_)), "{kind:?}");
    }
    for kind in [FailureKind::Refused, FailureKind::Usage, FailureKind::Data, FailureKind::Internal] {
        let error = odd_failure(kind).into_error();
        assert!(matches!(error.find_root(), DataFusionError::External(_)), "{kind:?}");
        assert_eq!(TaskFailure::of(&error).kind, kind);
    }
}

#[test]
fn a_long_message_is_cut_between_letters() {
    let failure = TaskFailure::new(FailureKind::Data, "ä".repeat(100_000));
    let carried = TaskFailure::of(&failure.into_error());
    assert!(carried.message.len() < 9_000 && carried.message.ends_with('…'));
}
