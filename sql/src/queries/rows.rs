//! The rows on their way to the client. The work has its own task, so that it ends when it is cancelled or takes
//! too long, even while nobody reads.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use datafusion::arrow::array::RecordBatch;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::Running;
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::stream::Rows;

/// Batches that wait for a client: the next is made while one is sent.
const WAITING_BATCHES: usize = 2;

/// How the work has ended; nothing while it goes on.
type End = Arc<Mutex<Option<Result<()>>>>;

/// Starts `work` and returns its rows; the client's reading sets the pace.
///
/// Dropping the rows cancels the work.
pub(crate) fn forward(
    running: Running,
    work: impl Future<Output = Result<Rows>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let (sender, mut receiver) = mpsc::channel(WAITING_BATCHES);
    let end = End::default();
    let noted = Arc::clone(&end);
    tokio::spawn(async move {
        let ended = running.bounded(send(&running, &sender, work)).await;
        // Who reads to the end finds the statement ended.
        running.end(&ended);
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        drop(sender);
    });
    let mut is_over = false;
    stream::poll_fn(move |context| {
        if is_over {
            return Poll::Ready(None);
        }
        match receiver.poll_recv(context) {
            Poll::Ready(None) => {
                is_over = true;
                let ended = end.lock().unwrap_or_else(PoisonError::into_inner).take();
                match ended {
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(error)) => Poll::Ready(Some(Err(error))),
                    None => {
                        Poll::Ready(Some(Err(SqlError::new(SqlErrorKind::Internal, "the work panicked"))))
                    }
                }
            }
            Poll::Ready(Some(batch)) => Poll::Ready(Some(Ok(batch))),
            Poll::Pending => Poll::Pending,
        }
    })
}

async fn send(
    running: &Running,
    sender: &mpsc::Sender<RecordBatch>,
    work: impl Future<Output = Result<Rows>>,
) -> Result<()> {
    let passing = async {
        let mut rows = work.await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            running.count(batch.num_rows(), bytes_of(&batch)?)?;
            sender.send(batch).await.map_err(|_| gone())?;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        () = sender.closed() => Err(gone()),
        ended = passing => ended,
    }
}

fn gone() -> SqlError {
    SqlError::new(SqlErrorKind::Cancelled, "the client went away")
}

/// What a batch's rows take, whatever else their buffers hold.
fn bytes_of(batch: &RecordBatch) -> Result<usize> {
    let mut bytes = 0;
    for column in batch.columns() {
        let of_column = column.to_data().get_slice_memory_size();
        bytes += of_column.map_err(|error| SqlError::new(SqlErrorKind::Internal, error.to_string()))?;
    }
    Ok(bytes)
}
