use super::*;

fn csv() -> RecordConfig {
    RecordConfig::new(Format::Csv)
}

#[tokio::test]
async fn reads_lines_with_either_line_end_and_skips_blank_ones() {
    let file = b"id,name\r\n1,a\r\n\r\n2,b\n\n\n3,c";
    check(&csv(), file, &["1@9 1|a", "2@16 2|b", "3@22 3|c"]).await;
}

#[tokio::test]
async fn passes_over_a_byte_order_mark() {
    check(&csv(), b"\xef\xbb\xbfid,name\n1,a\n", &["1@11 1|a"]).await;
}

#[tokio::test]
async fn trims_the_names_of_a_header() {
    let objects = Objects::new(&[("f", b"\n id ,\" the name \"\n1,a\n".as_slice())]).await;
    let schema = infer(&objects.store, &objects.files, &csv()).await.unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "the name", RECORD_COLUMN, FAULT_COLUMN]);
}

#[tokio::test]
async fn reads_quoted_values_with_delimiters_doubled_quotes_and_line_ends() {
    let file = b"a,b\n\"x,y\",\"say \"\"hi\"\"\"\n\"two\r\nlines\",\"\"\"\"\n\"\",\n";
    let expected = ["1@4 x,y|say \"hi\"", "2@23 two\r\nlines|\"", "3@41 |-"];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn takes_quotes_inside_an_unquoted_value_as_they_are() {
    check(&csv(), b"a,b\n6\" pipe,a\"b\"\n", &["1@4 6\" pipe|a\"b\""]).await;
}

#[tokio::test]
async fn parts_an_empty_value_from_an_empty_text() {
    check(&csv(), b"a,b,c\n,\"\", \n", &["1@6 -|| "]).await;
}

#[tokio::test]
async fn reads_other_delimiters_and_quotes() {
    let config = RecordConfig { delimiter: b';', quote: b'\'', ..csv() };
    check(&config, b"a;b\n'x;y';\"z\"\n", &["1@4 x;y|\"z\""]).await;
}

#[tokio::test]
async fn numbers_columns_where_there_is_no_header() {
    let config = RecordConfig { header: false, ..csv() };
    check(&config, b"1,a\n2,b\n", &["1@0 1|a", "2@4 2|b"]).await;
}

#[tokio::test]
async fn sets_ragged_records_aside_and_keeps_their_neighbours() {
    let file = b"a,b\n1,2\n3\n4,5,6\n7,8\n";
    let expected = [
        "1@4 1|2",
        "2@8 ROW_MALFORMED found 1 fields, expected 2 <3>",
        "3@10 ROW_MALFORMED found 3 fields, expected 2 <4,5,6>",
        "4@16 7|8",
    ];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn gives_up_only_the_line_of_a_quote_that_is_never_closed() {
    let file = b"a,b\n1,2\n3,\"4\n5,6\n7,8\n";
    let expected =
        ["1@4 1|2", "2@8 ROW_MALFORMED a quoted value does not end <3,\"4>", "3@13 5|6", "4@17 7|8"];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn gives_up_only_the_line_of_a_quote_that_is_closed_in_another_record() {
    let file = b"a,b\n1,\"2\n3,\"4\"\n5,6\n";
    let expected = ["1@4 ROW_MALFORMED text follows a closing quote <1,\"2>", "2@9 3|4", "3@15 5|6"];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn gives_up_only_the_first_line_of_joined_lines_with_a_wrong_number_of_fields() {
    let file = b"a,b,c\n1,\"2\n3,4\"\n5,6,7\n";
    let expected = [
        "1@6 ROW_MALFORMED found 2 fields, expected 3, in a record that spans lines <1,\"2>",
        "2@11 ROW_MALFORMED found 2 fields, expected 3 <3,4\">",
        "3@16 5|6|7",
    ];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn sets_text_after_a_closing_quote_aside() {
    let file = b"a,b\n\"1\"x,2\n3,4\n";
    check(&csv(), file, &["1@4 ROW_MALFORMED text follows a closing quote <\"1\"x,2>", "2@11 3|4"]).await;
}

#[tokio::test]
async fn ends_every_record_at_its_line_where_values_have_no_line_ends() {
    let config = RecordConfig { quoted_newlines: false, ..csv() };
    let file = b"a,b\n1,\"2\n3\",4\n5,\"6\"\r\n";
    let expected = ["1@4 ROW_MALFORMED a quoted value does not end <1,\"2>", "2@9 3\"|4", "3@14 5|6"];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn sets_bytes_that_are_not_utf_8_aside() {
    let file = b"a,b\n1,\xc3\xa9\n2,\xff\n3,\xe2\x82\xac\n4,\xe2\x82";
    let expected = [
        "1@4 1|é",
        "2@9 ENCODING_INVALID byte 0xff at byte 2 of the record is not valid utf-8 <2,\\xff>",
        "3@13 3|€",
        "4@19 ENCODING_INVALID byte 0xe2 at byte 2 of the record is not valid utf-8 <4,\\xe2\\x82>",
    ];
    check(&csv(), file, &expected).await;
}

#[tokio::test]
async fn reads_latin1_as_the_characters_of_its_bytes() {
    let config = RecordConfig { encoding: Encoding::Latin1, ..csv() };
    // 0xA3 is the pound sign, 0x80 a control character: this is ISO-8859-1, not windows-1252.
    let file = b"a\xe9,b\n1,\xa35\n\"\xa3\"\"\",2\n3,4\n5,\x80\n";
    check(&config, file, &["1@5 1|£5", "2@10 £\"|2", "3@18 3|4", "4@22 5|\u{80}"]).await;
}

#[tokio::test]
async fn reads_declared_types_exactly() {
    let types = [
        ("i", "int64"),
        ("d", "decimal(10,2)"),
        ("b", "bool"),
        ("t", "date"),
        ("w", "timestamp"),
        ("f", "float64"),
    ];
    let config = typed_columns(csv(), &types);
    let file = b"i,d,b,t,w,f\n-7, 1.50 ,TRUE,2024-02-29,2024-02-29 23:59:59.5,0.25\n,,,,,\n\"\",1e3,0,,2024-01-01T00:00,\n";
    let expected = [
        "1@12 -7|1.50|true|2024-02-29|2024-02-29T23:59:59.500|0.25",
        "2@65 -|-|-|-|-|-",
        "3@71 -|1000.00|false|-|2024-01-01T00:00:00|-",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn sets_values_that_contradict_their_types_aside_by_the_role_of_their_column() {
    let types = [("n", "int64"), ("amount", "decimal(5,2)"), ("at", "date")];
    let mut config = typed_columns(csv(), &types);
    config.roles.insert("amount".to_owned(), ColumnRole::Amount);
    config.roles.insert("at".to_owned(), ColumnRole::EventTime);
    let file = b"n,amount,at\n1,9.99,2024-01-01\nx,1,2024-01-01\n2,ten,2024-01-01\n3,0.001,2024-01-01\n4,1000,2024-01-01\n5,1,2024-02-30\n6,1.100,2024-01-01\n";
    let expected = [
        "1@12 1|9.99|2024-01-01",
        "2@30 ROW_MALFORMED column `n`: `x` is not of type int64 <x,1,2024-01-01>",
        "3@45 AMOUNT_NOT_NUMERIC column `amount`: `ten` is not of type decimal(5,2) <2,ten,2024-01-01>",
        "4@62 AMOUNT_SCALE_EXCEEDED column `amount`: `0.001` has more decimals than decimal(5,2) <3,0.001,2024-01-01>",
        "5@81 AMOUNT_OVERFLOW column `amount`: `1000` has more digits than decimal(5,2) <4,1000,2024-01-01>",
        "6@99 EVENT_TIME_INVALID column `at`: `2024-02-30` is not of type date <5,1,2024-02-30>",
        "7@114 6|1.10|2024-01-01",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn sets_a_record_above_the_limit_aside_by_its_beginning() {
    let config = RecordConfig { max_record_bytes: 10, ..csv() };
    let file = b"a,b\n1,23456789\n1,234567890\r\n2,3456789012345\n\"4\n5\n6\n7\n8\n9\",1\n1,2";
    let expected = [
        "1@4 1|23456789",
        "2@15 ROW_MALFORMED the record has 11 bytes; at most 10 are allowed <1,234567890>",
        "3@28 ROW_MALFORMED the record has 15 bytes; at most 10 are allowed <2,3456789012345>",
        "4@44 ROW_MALFORMED a quoted value does not end within 10 bytes <\"4>",
        "5@47 ROW_MALFORMED found 1 fields, expected 2 <5>",
        "6@49 ROW_MALFORMED found 1 fields, expected 2 <6>",
        "7@51 ROW_MALFORMED found 1 fields, expected 2 <7>",
        "8@53 ROW_MALFORMED found 1 fields, expected 2 <8>",
        "9@55 9\"|1",
        "10@60 1|2",
    ];
    check(&config, file, &expected).await;
}

#[tokio::test]
async fn sets_a_last_record_above_the_limit_aside() {
    let config = RecordConfig { max_record_bytes: 4, ..csv() };
    for tail in ["", "\n", "\r\n"] {
        let file = format!("a,b\n1,234{tail}");
        let fault = "1@4 ROW_MALFORMED the record has 5 bytes; at most 4 are allowed <1,234>";
        check(&config, file.as_bytes(), &[fault]).await;
    }
}

#[tokio::test]
async fn keeps_64_kib_of_a_record_of_3_mib() {
    let long = "x".repeat(3 << 20);
    let file = format!("a,b\n1,2\n3,{long}\n4,5\n");
    let objects = Objects::new(&[("f", file.as_bytes())]).await;
    for chunk_bytes in [60_000, 1 << 20] {
        let config = RecordConfig { chunk_bytes, ..csv() };
        let batches = objects.batches(&config, objects.whole()).await.unwrap();
        assert_eq!(batches.len(), 1);
        let raw = raw(&batches[0], 1);
        assert_eq!((raw.len(), &raw[..4]), (RAW_BYTES_MAX, "3,xx"));
        let rows = rows(&batches[0]);
        // 3 MiB and the two bytes before.
        assert!(rows[1].starts_with("2@8 ROW_MALFORMED the record has 3145730 bytes; at most 1048576 are"));
        assert_eq!((rows[0].as_str(), rows[2].as_str()), ("1@4 1|2", "3@3145739 4|5"));
    }
}

#[tokio::test]
async fn reads_columns_by_name_where_files_order_them_differently() {
    let objects = Objects::new(&[("1.csv", b"a,b\n1,2\n"), ("2.csv", b"b,a\n3,4\n")]).await;
    let rows = objects.rows(&csv(), objects.whole()).await.unwrap();
    assert_eq!(rows, ["1@4 1|2", "1@4 4|3"]);
}

#[tokio::test]
async fn refuses_files_with_other_columns_naming_both() {
    let found = error(&csv(), &[("1.csv", b"a,b\n"), ("2.csv", b"a\n")]).await;
    assert_eq!(
        found,
        "`2.csv` has no column `b`, which `1.csv` has; the files of one source must have the same columns"
    );
    let found = error(&csv(), &[("1.csv", b"a\n"), ("2.csv", b"a,b\n")]).await;
    assert_eq!(
        found,
        "`2.csv` has a column `b`, which `1.csv` does not have; the files of one source must have the same columns"
    );
}

#[tokio::test]
async fn refuses_a_file_with_other_columns_beyond_the_sample_too() {
    let config = RecordConfig { sample_files: 1, ..csv() };
    let found = error(&config, &[("1.csv", b"a,b\n"), ("2.csv", b"a\n")]).await;
    assert_eq!(
        found,
        "`2.csv` has no column `b`, which the source has; the files of one source must have the same columns"
    );
}

#[tokio::test]
async fn refuses_a_header_that_cannot_name_columns() {
    assert_eq!(
        error(&csv(), &[("f", b"a,a\n1,2\n")]).await,
        "the header of `f` cannot be used: two columns are named `a`"
    );
    assert_eq!(
        error(&csv(), &[("f", b"a, \n1,2\n")]).await,
        "the header of `f` cannot be used: column 2 has no name"
    );
    assert_eq!(
        error(&csv(), &[("f", b"a\xa3\n1\n")]).await,
        "the header of `f` cannot be used: byte 0xa3 at byte 1 of the record is not valid utf-8; set the encoding"
    );
    assert_eq!(
        error(&csv(), &[("f", b"a,__fault\n1,2\n")]).await,
        "column `__fault` of `f` has a reserved name; rename it"
    );
}

#[tokio::test]
async fn refuses_types_of_unknown_columns_and_sources_without_records() {
    let config = typed_columns(csv(), &[("c", "int64")]);
    assert_eq!(
        error(&config, &[("f", b"a,b\n")]).await,
        "unknown column `c` in the source's types; the source has a, b"
    );
    assert_eq!(
        error(&csv(), &[("f", b""), ("g", b"\n\n")]).await,
        "the source has no records: 2 files, all empty"
    );
}

#[tokio::test]
async fn names_the_file_of_each_record() {
    let objects = Objects::new(&[("in/1.csv", b"a\n1\n"), ("in/2.csv", b"a\n2\n")]).await;
    let batches = objects.batches(&csv(), objects.whole()).await.unwrap();
    assert_eq!(
        (file_name(&batches[0], 0), file_name(&batches[1], 0)),
        ("in/1.csv".to_owned(), "in/2.csv".to_owned())
    );
    assert_eq!(batches[0].column_by_name(FAULT_COLUMN).unwrap().null_count(), 1);
}
