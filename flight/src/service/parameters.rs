//! The values that a client binds to the parameters of a statement: one row.
//!
//! What comes in was made by somebody else. It is small, as messages are bounded; and it must be of a form in which
//! each value takes bytes of its own, as a few bytes could otherwise stand for more memory than there is: neither
//! compressed, nor of a type whose values share theirs.

use std::panic::AssertUnwindSafe;

use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::{MessageHeader, root_as_message};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tonic::Status;

/// A schema, a batch, and some that are empty.
const MESSAGES_MAX: usize = 16;

/// Reads the row; none where the client sends no rows.
///
/// # Errors
/// INVALID_ARGUMENT for several rows, and for what is not Arrow's format.
pub(super) async fn read_row(
    messages: BoxStream<'static, Result<FlightData, Status>>,
) -> Result<Option<RecordBatch>, Status> {
    let checked = messages.enumerate().map(|(at, message)| {
        let message = message?;
        if at >= MESSAGES_MAX {
            return Err(several_rows());
        }
        // The first message may hold the command alone.
        if message.data_header.is_empty() {
            return Ok(None);
        }
        check(&message)?;
        Ok(Some(message))
    });
    let checked = checked.try_filter_map(|message| async move { Ok(message) });
    let checked = checked.map_err(|status: Status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(checked);
    let mut row = None;
    loop {
        // The decoder is not made for bytes that nobody meant: some make it panic.
        let next = AssertUnwindSafe(batches.next()).catch_unwind().await;
        let Some(batch) = next.map_err(|_| undecodable())? else { break };
        let batch = batch.map_err(unreadable)?;
        match batch.num_rows() {
            0 => {}
            1 if row.is_none() => row = Some(batch),
            _ => return Err(several_rows()),
        }
    }
    Ok(row)
}

fn check(message: &FlightData) -> Result<(), Status> {
    let header = root_as_message(&message.data_header)
        .map_err(|error| unreadable(FlightError::DecodeError(error.to_string())))?;
    match header.header_type() {
        MessageHeader::Schema => {
            // Where this panics, who draws the batches catches it.
            let schema = header.header_as_schema().map(fb_to_schema).ok_or_else(undecodable)?;
            let refused = schema.fields().iter().find(|field| !is_value(field.data_type()));
            refused.map_or(Ok(()), |field| Err(shared_bytes(field.data_type())))
        }
        MessageHeader::RecordBatch => {
            let batch = header.header_as_record_batch();
            if batch.is_some_and(|batch| batch.compression().is_some()) {
                return Err(Status::invalid_argument("values of parameters must not be compressed"));
            }
            // Arrow's decoder panics on buffers that lie outside of the body.
            let body_bytes = message.data_body.len() as u64;
            let is_inside = |(offset, length): (i64, i64)| {
                let end = u64::try_from(offset).ok()?.checked_add(u64::try_from(length).ok()?)?;
                (end <= body_bytes).then_some(())
            };
            let mut buffers = batch.and_then(|batch| batch.buffers()).into_iter().flatten();
            if buffers.any(|buffer| is_inside((buffer.offset(), buffer.length())).is_none()) {
                return Err(undecodable());
            }
            Ok(())
        }
        _ => Err(Status::invalid_argument("values of parameters must not be encoded by a dictionary")),
    }
}

/// Tells whether one value of the type takes no more memory than the bytes that came for it, whatever it is made
/// into.
fn is_value(data_type: &DataType) -> bool {
    // One view of each, and nothing in it.
    matches!(data_type, DataType::Null | DataType::Utf8View | DataType::BinaryView) || is_item(data_type)
}

/// The same of very many values.
fn is_item(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_item(item.data_type()),
        DataType::FixedSizeList(item, length) => *length > 0 && is_item(item.data_type()),
        DataType::FixedSizeBinary(length) => *length > 0,
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Interval(_) => true,
        other => other.is_numeric(),
    }
}

fn shared_bytes(data_type: &DataType) -> Status {
    // The name of a nested type is as long as its sender makes it.
    let name: String = data_type.to_string().chars().take(128).collect();
    Status::invalid_argument(format!(
        "a parameter has a value of type {name}, expected a number, a text, bytes, a date, a time or a list of these"
    ))
}

fn several_rows() -> Status {
    Status::invalid_argument(
        "more than one row of values for the parameters, expected one\nhint: execute the statement once for each row",
    )
}

fn undecodable() -> Status {
    Status::invalid_argument("the values of the parameters cannot be read: they are not in Arrow's format")
}

fn unreadable(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        error => Status::invalid_argument(format!("the values of the parameters cannot be read: {error}")),
    }
}
