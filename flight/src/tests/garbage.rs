//! Bytes that nobody meant: each call is answered, and none panics.

use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::FlightService as _;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any,
    CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    CommandStatementQuery, CommandStatementUpdate, ProstMessageExt as _, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc,
    Ticket,
};
use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::{Code, Request, Status};

use super::lab::{Lab, TOKEN, with_header};

const CASES: u64 = 10_000;

/// A small generator of numbers, so that a failure can be repeated (SplitMix64 of Steele, Lea, Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        let length = self.below(length_max + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Changes, cuts, repeats or inserts bytes.
    fn spoil(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 => bytes.extend_from_within(..at),
                _ => {
                    let inserted = self.bytes(8);
                    bytes.splice(at..at, inserted);
                }
            }
        }
        bytes
    }
}

fn commands(handle: &[u8]) -> Vec<Vec<u8>> {
    let handle = || handle.to_vec().into();
    let all: Vec<Any> = vec![
        CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None }.as_any(),
        CommandStatementUpdate { query: "SELECT 1".to_owned(), transaction_id: None }.as_any(),
        CommandPreparedStatementQuery { prepared_statement_handle: handle() }.as_any(),
        CommandPreparedStatementUpdate { prepared_statement_handle: handle() }.as_any(),
        CommandGetTables { table_name_filter_pattern: Some("%a_".to_owned()), ..Default::default() }.as_any(),
        CommandGetXdbcTypeInfo { data_type: Some(3) }.as_any(),
        TicketStatementQuery { statement_handle: handle() }.as_any(),
    ];
    all.into_iter().map(|any| any.encode_to_vec()).collect()
}

fn actions(handle: &[u8], ticket: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let info =
        FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket.to_vec())));
    let prepare = ActionCreatePreparedStatementRequest { query: "SELECT 1".to_owned(), transaction_id: None };
    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle.to_vec().into() };
    let cancel = ActionCancelQueryRequest { info: info.encode_to_vec().into() };
    vec![
        ("CreatePreparedStatement", prepare.as_any().encode_to_vec()),
        ("ClosePreparedStatement", close.as_any().encode_to_vec()),
        ("CancelQuery", cancel.as_any().encode_to_vec()),
        ("CancelFlightInfo", CancelFlightInfoRequest::new(info).encode_to_vec()),
        ("SetSessionOptions", b"\x0a\x14\x0a\x0dcambist.rates\x12\x03\x0a\x01x".to_vec()),
        ("GetSessionOptions", Vec::new()),
        ("CloseSession", Vec::new()),
        ("RenewFlightEndpoint", Vec::new()),
    ]
}

fn known<T>(message: T) -> Request<T> {
    with_header(message, "authorization", &format!("Bearer {TOKEN}"))
}

/// A panic inside a call becomes this.
fn check<T>(answer: &Result<T, Status>, seed: u64, bytes: &[u8]) {
    if let Err(status) = answer {
        assert_ne!(status.code(), Code::Internal, "case {seed}: {status} for {bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_tickets_and_actions_of_any_bytes_are_answered() {
    let lab = Lab::start().await;
    let handle = [7_u8; 32];
    let commands = commands(&handle);
    let actions = actions(&handle, &commands[6]);
    for seed in 0..CASES {
        let mut numbers = Numbers(seed);
        let bytes = if numbers.below(4) == 0 {
            numbers.bytes(200)
        } else {
            let of = commands[numbers.below(commands.len())].clone();
            numbers.spoil(of)
        };
        let descriptor = FlightDescriptor::new_cmd(bytes.clone());
        match numbers.below(4) {
            0 => check(&lab.endpoint.get_flight_info(known(descriptor)).await, seed, &bytes),
            1 => check(&lab.endpoint.get_schema(known(descriptor)).await, seed, &bytes),
            2 => check(&lab.endpoint.do_get(known(Ticket::new(bytes.clone()))).await, seed, &bytes),
            _ => {
                let (name, body) = &actions[numbers.below(actions.len())];
                let body = numbers.spoil(body.clone());
                let answer = lab.endpoint.do_action(known(Action::new(*name, body.clone()))).await;
                check(&answer, seed, &body);
            }
        }
    }
    assert!(lab.endpoint.kept().0 <= 256 && lab.endpoint.kept().1 <= 512, "{:?}", lab.endpoint.kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_any_bytes_are_answered() {
    let lab = Lab::start().await;
    let row = RecordBatch::try_from_iter([
        ("1", Arc::new(Int64Array::from(vec![1])) as _),
        ("2", Arc::new(StringArray::from(vec!["two"])) as _),
    ])
    .unwrap();
    let row = futures::stream::iter([Ok(row)]);
    let good: Vec<FlightData> = FlightDataEncoderBuilder::new().build(row).try_collect().await.unwrap();
    for seed in 0..CASES {
        let mut numbers = Numbers(seed);
        let mut messages = good.clone();
        let at = numbers.below(messages.len());
        let message = &mut messages[at];
        if numbers.below(3) == 0 {
            message.data_body = numbers.spoil(message.data_body.to_vec()).into();
        } else {
            message.data_header = numbers.spoil(message.data_header.to_vec()).into();
        }
        let read = lab.endpoint.read_row(futures::stream::iter(messages.into_iter().map(Ok)).boxed());
        check(&read.await, seed, &[]);
    }
}

/// A few bytes of such a type stand for more values than there is memory for, as soon as they are cast.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_whose_values_share_bytes_are_refused_by_their_type() {
    let lab = Lab::start().await;
    let of = |data_type: &DataType| Arc::new(Field::new("item", data_type.clone(), true));
    let read = async |data_type: &DataType| {
        let schema = Schema::new(vec![Field::new("1", data_type.clone(), true)]);
        let message = FlightData::from(SchemaAsIpc::new(&schema, &IpcWriteOptions::default()));
        lab.endpoint.read_row(futures::stream::iter([Ok(message)]).boxed()).await
    };
    let number = DataType::Int8;
    let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    let runs = DataType::RunEndEncoded(ends, of(&number));
    let entry = DataType::Struct(vec![of(&DataType::Utf8), of(&number)].into());
    let entries = Arc::new(Field::new("entries", entry.clone(), false));
    let refused = [
        DataType::LargeListView(of(&DataType::LargeListView(of(&number)))),
        DataType::ListView(of(&number)),
        runs.clone(),
        DataType::List(of(&runs)),
        DataType::List(of(&DataType::Utf8View)),
        DataType::List(of(&DataType::Null)),
        DataType::LargeList(of(&DataType::FixedSizeList(of(&number), 0))),
        DataType::FixedSizeList(of(&DataType::FixedSizeBinary(0)), 1 << 30),
        DataType::Dictionary(Box::new(number.clone()), Box::new(DataType::Utf8)),
        DataType::Map(entries, false),
        entry,
    ];
    for data_type in refused {
        let refusal = read(&data_type).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{data_type}");
        assert!(refusal.message().starts_with("a parameter has a value of type "), "{refusal}");
    }
    for data_type in [
        number.clone(),
        DataType::Null,
        DataType::Utf8View,
        DataType::Decimal256(40, 2),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::List(of(&DataType::Utf8)),
        DataType::FixedSizeList(of(&number), 3),
    ] {
        read(&data_type).await.unwrap_or_else(|status| panic!("{data_type}: {status}"));
    }
}
