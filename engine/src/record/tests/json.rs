use super::*;

fn ndjson() -> RecordConfig {
    RecordConfig::new(Format::Ndjson)
}

fn json() -> RecordConfig {
    RecordConfig::new(Format::Json)
}

#[tokio::test]
async fn takes_scalars_as_their_exact_text() {
    let file = br#"{"a":1.10,"b":true}
{"b":"x\ty","a":"1.10"}
{"a":123456789012345678901234567890.123456789,"b":null}
{"a":1e3}
{"a":[1, 2],"b":{"c":1}}
"#;
    let expected = [
        "1@0 1.10|true",
        "2@20 1.10|x\ty",
        "3@44 123456789012345678901234567890.123456789|-",
        "4@100 1e3|-",
        "5@110 [1, 2]|{\"c\":1}",
    ];
    check(&ndjson(), file, &expected).await;
}

#[tokio::test]
async fn reads_declared_types_from_numbers_and_strings_alike() {
    let config = typed_columns(ndjson(), &[("amount", "decimal(38,18)"), ("n", "int64"), ("late", "bool")]);
    let file = br#"{"n":1,"amount":0.1}
{"n":"2","amount":"0.2"}
{"n":3,"amount":1e-18,"late":true}
{"n":4.5,"amount":1}
{"n":5,"amount":"one"}
{"n":6,"amount":{"value":1}}
"#;
    let expected = [
        "1@0 1|0.100000000000000000|-",
        "2@21 2|0.200000000000000000|-",
        "3@46 3|0.000000000000000001|true",
        "4@81 ROW_MALFORMED column `n`: `4.5` has more decimals than int64 <{\"n\":4.5,\"amount\":1}>",
        "5@102 ROW_MALFORMED column `amount`: `one` is not of type decimal(38,18) <{\"n\":5,\"amount\":\"one\"}>",
        "6@125 ROW_MALFORMED column `amount`: `{\"value\":1}` is not of type decimal(38,18) <{\"n\":6,\"amount\":{\"value\":1}}>",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn reads_nested_values_by_path() {
    let mut config = ndjson();
    config.paths = vec!["amount.value".to_owned(), "lines.1.price".to_owned()];
    let file = br#"{"id":1,"amount":{"value":1.50,"currency":"EUR"},"lines":[{"price":1},{"price":"2.0"}]}
{"id":2,"amount":{"value":1,"value":2},"lines":[]}
{"id":3,"amount":7}
{"id":4}
{"id":5,"amount.value":9}
"#;
    let objects = Objects::new(&[("f", file.as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &config).await.unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "amount", "lines", "amount.value", "lines.1.price", "__record", "__fault"]);
    let expected = [
        "1@0 1|{\"value\":1.50,\"currency\":\"EUR\"}|[{\"price\":1},{\"price\":\"2.0\"}]|1.50|2.0",
        "2@88 2|{\"value\":1,\"value\":2}|[]|2|-",
        "3@139 3|7|-|-|-",
        "4@159 4|-|-|-|-",
        "5@168 5|-|-|9|-",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn sets_malformed_lines_aside_and_keeps_their_neighbours() {
    let file = b"{\"a\":1}\r\n{\"a\":}\n\n[1]\n{\"a\":2}{\"a\":3}\n{\"a\":\"\xff\"}\n{\"a\":\"\\ud800\"}\n{\"a\":4}\n{\"a\":";
    let expected = [
        "1@0 1",
        "2@9 ROW_MALFORMED expected value at line 1 column 6 <{\"a\":}>",
        "3@17 ROW_MALFORMED invalid type: sequence, expected a JSON object at line 1 column 1 <[1]>",
        "4@21 ROW_MALFORMED trailing characters at line 1 column 8 <{\"a\":2}{\"a\":3}>",
        "5@36 ENCODING_INVALID byte 0xff at byte 6 of the record is not valid utf-8 <{\"a\":\"\\xff\"}>",
        "6@46 ROW_MALFORMED unexpected end of hex escape at line 1 column 8 <{\"a\":\"\\ud800\"}>",
        "7@61 4",
        "8@69 ROW_MALFORMED the record is truncated: EOF while parsing a value at line 1 column 5 <{\"a\":>",
    ];
    check(&ndjson(), file, &expected).await;
}

#[tokio::test]
async fn takes_the_last_of_equal_keys_and_all_keys_of_a_small_source() {
    let config = RecordConfig { sample_records: 1, ..ndjson() };
    check(&config, b"{\"a\":1,\"a\":2}\n{\"b\":3,\"a\":4}\n", &["1@0 2|-", "2@14 4|3"]).await;
}

#[tokio::test]
async fn reads_objects_one_after_another() {
    let file = b"{\"a\":1}{\"a\":\"}{\"} \n\t{\"a\":\n{\"b\":2}}{\"a\":3}\n";
    check(&json(), file, &["1@0 1", "2@7 }{", "3@20 {\"b\":2}", "4@34 3"]).await;
}

#[tokio::test]
async fn reads_one_array_of_objects() {
    check(&json(), b" [{\"a\":1},\n {\"a\":2}]\n", &["1@2 1", "2@12 2"]).await;
}

#[tokio::test]
async fn goes_on_after_a_broken_object_at_the_next_one() {
    let file =
        b"{\"a\":1}{\"a\":,}{\"a\":2}{\"a\":\"x}{\"a\":3}\n{\"a\":4\n{\"a\":5}junk {\"a\":6}\n{\"a\":7}";
    let expected = [
        "1@0 1",
        "2@7 ROW_MALFORMED expected value at line 1 column 6 <{\"a\":,}>",
        "3@14 2",
        "4@21 ROW_MALFORMED expected `,` or `}` at line 1 column 11 <{\"a\":\"x}>",
        "5@29 3",
        "6@37 ROW_MALFORMED expected `,` or `}` at line 2 column 1 <{\"a\":4>",
        "7@44 5",
        "8@51 ROW_MALFORMED the record is not a JSON object <junk {\"a\":6}>",
        "9@64 7",
    ];
    check(&json(), file, &expected).await;
}

#[tokio::test]
async fn sets_a_truncated_last_object_aside() {
    let expected =
        ["1@0 1", "2@7 ROW_MALFORMED the record is truncated: its object does not end <{\"a\":\"2>"];
    check(&json(), b"{\"a\":1}{\"a\":\"2", &expected).await;
}

#[tokio::test]
async fn sets_objects_that_are_not_utf_8_aside() {
    let expected = [
        "1@0 1",
        "2@7 ENCODING_INVALID byte 0xff at byte 6 of the record is not valid utf-8 <{\"a\":\"\\xff\"}>",
        "3@16 3",
    ];
    check(&json(), b"{\"a\":1}{\"a\":\"\xff\"}{\"a\":3}", &expected).await;
}

#[tokio::test]
async fn passes_over_objects_above_the_limit() {
    let config = RecordConfig { max_record_bytes: 10, ..json() };
    let file = b"{\"a\":1}{\"a\":\"}\\\"{{\",\"b\":{}}{\"a\":\"234\"}{\"a\":5}";
    let expected = [
        "1@0 1",
        "2@7 ROW_MALFORMED the record has 20 bytes; at most 10 are allowed <{\"a\":\"}\\\"{{\",\"b\":{}}>",
        "3@27 ROW_MALFORMED the record has 11 bytes; at most 10 are allowed <{\"a\":\"234\"}>",
        "4@38 5",
    ];
    let mut config_with_column = config;
    config_with_column.types.insert("a".to_owned(), ColumnType::Text);
    check(&config_with_column, file, &expected).await;
}

#[tokio::test]
async fn passes_over_lines_above_the_limit() {
    let config = RecordConfig { max_record_bytes: 9, ..ndjson() };
    let file = b"{\"a\":1}\n{\"a\":2345}\r\n{\"a\":678}\r\n{\"a\":9}";
    let expected = [
        "1@0 1",
        "2@8 ROW_MALFORMED the record has 10 bytes; at most 9 are allowed <{\"a\":2345}>",
        "3@20 678",
        "4@31 9",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn skips_3_mib_of_one_object() {
    let long = "x".repeat(3 << 20);
    let file = format!("{{\"a\":1}}{{\"a\":\"{long}\"}}{{\"a\":2}}");
    let objects = Objects::new(&[("f", file.as_bytes())]).await;
    let batches = objects.batches(&json(), objects.whole()).await.unwrap();
    let rows = rows(&batches[0]);
    assert_eq!((rows.len(), rows[0].as_str()), (3, "1@0 1"));
    assert_eq!(rows[2], "3@3145743 2");
    assert_eq!(raw(&batches[0], 1).len(), RAW_BYTES_MAX);
}

/// A role may be a column that no record of today has, or an SQL expression, which is no column at all.
#[tokio::test]
async fn a_role_that_is_an_expression_brings_no_column() {
    let mut config = ndjson();
    config.roles.insert("price * quantity".to_owned(), ColumnRole::Amount);
    config.roles.insert("currency".to_owned(), ColumnRole::Currency);
    let objects = Objects::new(&[("f", b"{\"price\":1.5,\"quantity\":2}\n".as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &config).await.unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["price", "quantity", "currency", RECORD_COLUMN, FAULT_COLUMN]);
}
