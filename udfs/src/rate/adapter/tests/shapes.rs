//! Each shape that is read.

use sha2::{Digest, Sha256};

use super::{KNOWN_AT, check, outcome, read};

#[test]
fn open_exchange_rates_day_is_read() {
    let body = r#"{"disclaimer":"d","license":"l","timestamp":1322697600,"base":"USD",
        "rates":{"USD":1,"INR":51.889999,"GBP":0.638142}}"#;
    let expected = "openexchangerates USD 2011-12-01 1322697600: GBP=0.638142 INR=51.889999";
    check("2011-12-01.json", body, &[expected]);
    check("2011-12-01.json.gz", body, &[expected]);
    check("latest.json", body, &[expected]);
    check("latest.json", &format!("\u{feff}  {body}\n\n"), &[expected]);
}

#[test]
fn snapshot_bears_the_payload_s_hash_place_and_time() {
    let body = br#"{"timestamp":1322697600,"base":"USD","rates":{"INR":51.9}}"#;
    let admission = read("latest.json", body).unwrap();
    let [snapshot] = &admission.snapshots[..] else { panic!("one snapshot") };
    assert_eq!(snapshot.id.0, <[u8; 32]>::from(Sha256::digest(body)));
    assert_eq!(snapshot.location, "rates/latest.json");
    assert_eq!(snapshot.known_at, KNOWN_AT);
}

#[test]
fn time_series_gives_a_snapshot_per_day_in_order() {
    let body = r#"{"license":"l","start_date":"2023-01-01","end_date":"2023-01-02","base":"USD","rates":{
        "2023-01-02":{"EUR":0.9321},"2023-01-01":{"EUR":0.934567,"JPY":131.12},
        "2023-01-03":{},"2023-01-04":[],"2023-01-05":null,"2023-01-02":{"EUR":0.932100}}}"#;
    check(
        "series.json",
        body,
        &[
            "openexchangerates USD 2023-01-01 -: EUR=0.934567 JPY=131.12",
            "openexchangerates USD 2023-01-02 -: EUR=0.9321",
            "! SNAPSHOT_EMPTY 2023-01-03 and 2 other days hold no usable rate",
        ],
    );
    let twice = r#"{"base":"USD","rates":{"2023-01-02":{"EUR":0.9},"2023-01-02":{"EUR":0.8}}}"#;
    check(
        "s.json",
        twice,
        &["SNAPSHOT_CONFLICT: the document holds two different sets of rates for 2023-01-02"],
    );
    let broken = r#"{"base":"USD","rates":{"2023-02-30":{"EUR":0.9}}}"#;
    check(
        "s.json",
        broken,
        &[
            "SNAPSHOT_DATE_INVALID: the document's date is `2023-02-30`; expected a day of the calendar as `2011-12-01`",
        ],
    );
    let mixed = r#"{"base":"USD","rates":{"2023-02-03":{"EUR":0.9},"EUR":0.9}}"#;
    assert!(outcome("s.json", mixed).starts_with("SNAPSHOT_MALFORMED: the entry `EUR` is no day"));
}

#[test]
fn currencylayer_prefixes_are_stripped() {
    let body = r#"{"success":true,"timestamp":1430870399,"date":"2015-05-05","source":"USD",
        "quotes":{"USDINR":63.4,"USDUSD":1,"usdeur":0.89,"EURGBP":0.7,"US":2}}"#;
    check(
        "x.json",
        body,
        &[
            "currencylayer USD 2015-05-05 1430870399: EUR=0.89 INR=63.4",
            "- 2015-05-05 EURGBP ``EURGBP` does not begin with the source USD` RATE_SUSPECT",
            "- 2015-05-05 US ``US` does not begin with the source USD` RATE_SUSPECT",
        ],
    );
    let series =
        r#"{"success":true,"timeframe":true,"source":"USD","quotes":{"2010-03-01":{"USDEUR":0.73}}}"#;
    check("x.json", series, &["currencylayer USD 2010-03-01 -: EUR=0.73"]);
    let no_source = r#"{"success":true,"timestamp":1430870399,"quotes":{"USDINR":63.4}}"#;
    check(
        "x.json",
        no_source,
        &["SNAPSHOT_BASE_INVALID: the document has no `source`; expected the currency code of the base"],
    );
}

#[test]
fn fixer_and_its_kin_are_read() {
    let dated = r#"{"base":"EUR","date":"2016-08-26","rates":{"USD":1.129,"HUF":308.50}}"#;
    check("x.json", dated, &["fixer EUR 2016-08-26 -: HUF=308.50 USD=1.129"]);
    let stamped =
        r#"{"success":true,"timestamp":1619171643,"base":"EUR","date":"2021-04-23","rates":{"USD":1.20555}}"#;
    check("x.json", stamped, &["fixer EUR 2021-04-23 1619171643: USD=1.20555"]);
    let host = r#"{"motd":{"msg":"m","url":"u"},"success":true,"base":"EUR","date":"2022-04-29","rates":{"EUR":1,"ZAR":16.7}}"#;
    check("x.json", host, &["fixer EUR 2022-04-29 -: ZAR=16.7"]);
}

#[test]
fn frankfurter_amount_is_divided_out_exactly() {
    // 15.9040 / 10 = 1.5904, 1360 / 10 = 136 and 8.3380 / 10 = 0.8338.
    let tens =
        r#"{"amount":10.0,"base":"EUR","date":"2026-10-30","rates":{"AUD":15.9040,"ISK":1360,"GBP":8.3380}}"#;
    check("x.json", tens, &["frankfurter EUR 2026-10-30 -: AUD=1.5904 GBP=0.8338 ISK=136"]);
    let one = r#"{"amount":1.0,"base":"EUR","date":"2026-10-30","rates":{"AUD":1.59040}}"#;
    check("x.json", one, &["frankfurter EUR 2026-10-30 -: AUD=1.59040"]);
    // 3.3516 / 3 = 1.1172 ends; 1 / 3 does not.
    let threes = r#"{"amount":3,"base":"EUR","date":"2026-10-30","rates":{"USD":3.3516,"GBP":1}}"#;
    check(
        "x.json",
        threes,
        &["frankfurter EUR 2026-10-30 -: USD=1.1172", "- 2026-10-30 GBP `1` RATE_SCALE_EXCEEDED"],
    );
    // 1 / 262144 = 2^-18 has 18 places, 1 / 524288 = 2^-19 has 19; 2^-18 = 0.000003814697265625.
    let small = r#"{"amount":262144,"base":"EUR","date":"2026-10-30","rates":{"USD":1,"GBP":0.5}}"#;
    check(
        "x.json",
        small,
        &[
            "frankfurter EUR 2026-10-30 -: USD=0.000003814697265625",
            "- 2026-10-30 GBP `0.5` RATE_SCALE_EXCEEDED",
        ],
    );
    // 0.89 / 0.01 = 89; 10^19 / 0.01 = 10^21 has 22 integer digits.
    let cents = r#"{"amount":0.01,"base":"EUR","date":"2026-10-30","rates":{"USD":0.89,"GBP":1e19}}"#;
    check(
        "x.json",
        cents,
        &["frankfurter EUR 2026-10-30 -: USD=89", "- 2026-10-30 GBP `1e19` RATE_SCALE_EXCEEDED"],
    );
    let none = r#"{"amount":0,"base":"EUR","date":"2026-10-30","rates":{"USD":1}}"#;
    check("x.json", none, &["SNAPSHOT_MALFORMED: the rates are for `0` units; expected a positive number"]);
}

#[test]
fn abstractapi_and_currency_api_are_read() {
    let exchange = r#"{"base":"USD","last_updated":1620998100,"exchange_rates":{"EUR":0.824878}}"#;
    check("live.json", exchange, &["abstractapi USD 2021-05-14 1620998100: EUR=0.824878"]);
    let lower = r#"{"date":"2025-12-06","usd":{"eur":0.8588,"usd":1,"doge":7.1}}"#;
    check("usd.json", lower, &["currency-api USD 2025-12-06 -: DOGE=7.1 EUR=0.8588"]);
}

#[test]
fn central_bank_xml_is_read_with_either_quotes() {
    let double = r#"<?xml version="1.0"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>Reference rates</gesmes:subject><Cube><Cube time="2019-11-29"><Cube currency="USD" rate="1.0982"/><Cube currency="JPY" rate="120.430"></Cube></Cube><Cube time="2019-11-28"><Cube currency="USD" rate="0"/><Cube currency="JPY"/><Cube currency="GBP" rate="0.85"/></Cube></Cube></gesmes:Envelope>
"#;
    let expected = [
        "ecb EUR 2019-11-28 -: GBP=0.85",
        "ecb EUR 2019-11-29 -: JPY=120.430 USD=1.0982",
        "- 2019-11-28 USD `0` RATE_NON_POSITIVE",
        "- 2019-11-28 JPY `` RATE_NOT_NUMERIC",
    ];
    check("hist.xml", double, &expected);
    check("hist.xml", &double.replace('"', "'"), &expected);
    let empty = double.replace("Cube time", "Cube tame");
    check("hist.xml", &empty, &["SNAPSHOT_MALFORMED: the rate of `USD` belongs to no day"]);
    let impossible = double.replace("2019-11-29", "2019-11-31");
    assert!(outcome("hist.xml", &impossible).starts_with("SNAPSHOT_DATE_INVALID"));
    let twice = format!("{double}{double}");
    assert!(outcome("hist.xml", &twice).starts_with("SNAPSHOT_MALFORMED"));
    let other = double.replace("ecb.int/vocabulary/2002-08-01/eurofxref", "example.org/rates");
    check(
        "hist.xml",
        &other,
        &[
            "SNAPSHOT_MALFORMED: the document is `<gesmes:Envelope>`; expected the `<gesmes:Envelope>` of the \
         European Central Bank with the vocabulary `…/eurofxref`",
        ],
    );
}

#[test]
fn central_bank_csv_is_read_row_by_row() {
    let history = "Date,USD,JPY,BGN,\n2026-10-30,1.1172,175.68,N/A,\n2026-10-29,1.113,,1.9558,\n2026-10-28,N/A,N/A,N/A,\n";
    let expected = [
        "ecb EUR 2026-10-29 -: BGN=1.9558 USD=1.113",
        "ecb EUR 2026-10-30 -: JPY=175.68 USD=1.1172",
        "- 2026-10-29 JPY `` RATE_NOT_NUMERIC",
        "! SNAPSHOT_EMPTY 2026-10-28 holds no usable rate",
    ];
    check("hist.csv", history, &expected);
    check("hist.csv", &history.replace('\n', "\r\n"), &expected);
    check("hist.csv", &history.replace(",\n", "\n"), &expected);
    let day = "Date, USD, GBP, \n30 October 2026, 1.1172, 0.83380, \n";
    check("day.csv", day, &["ecb EUR 2026-10-30 -: GBP=0.83380 USD=1.1172"]);
    check(
        "day.csv",
        &day.replace("30 October", "31 September"),
        &[
            "SNAPSHOT_DATE_INVALID: the document's date is `31 September 2026`; expected a day of the calendar as `2011-12-01`",
        ],
    );
}

#[test]
fn damaged_csv_is_refused() {
    for (document, problem) in [
        ("Date,USD,\n2026-10-30,1.1172,175.68,\n", "not a whole table"),
        ("Date,USD,JPY,\n2026-10-30,1.1172,\n", "not a whole table"),
        ("Date,USD,JPY\n2026-10-30,1.1172,17", "the last line does not end"),
        ("Date,Ünits,\n2026-10-30,1.1172,\n", "the column `Ünits` is headed by no currency code"),
        ("Date,USD,\n2026-10-30,1.1172,7\n", "the row of 2026-10-30 holds `7` in a column without a name"),
    ] {
        let found = outcome("x.csv", document);
        assert!(found.starts_with(&format!("SNAPSHOT_MALFORMED: {problem}")), "{document}: {found}");
    }
    check("x.csv", "Date,USD,\n", &["SNAPSHOT_EMPTY: the document holds no rates"]);
}

#[test]
fn rates_that_people_entered_name_their_codes_and_expire() {
    let body = r#"{"entered_by":"ada","reason":"the feed has no bolivar","base":"USD","date":"2024-05-01",
        "expires":"2024-05-07","rates":{"VES":"36.50","inr":83.2}}"#;
    check("2024-05-01.json", body, &["manual:INR+VES USD 2024-05-01 1714521600: INR=83.2 VES=36.50"]);
    let admission = read("2024-05-01.json", body.as_bytes()).unwrap();
    assert_eq!(admission.snapshots[0].expires.unwrap().to_string(), "2024-05-07");
    let backwards = body.replace("2024-05-07", "2024-04-30");
    assert!(
        outcome("a.json", &backwards).starts_with("SNAPSHOT_DATE_INVALID: the rates of 2024-05-01 expire on")
    );
    let anonymous = body.replace("ada", " ");
    assert!(outcome("a.json", &anonymous).starts_with("SNAPSHOT_MALFORMED: `entered_by` is empty"));
    let empty = body.replace(r#"{"VES":"36.50","inr":83.2}"#, "[]");
    assert!(outcome("a.json", &empty).starts_with("SNAPSHOT_MALFORMED: the document has no `rates`"));
}
