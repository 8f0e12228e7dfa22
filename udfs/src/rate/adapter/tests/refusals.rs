//! Each way in which a figure, a base or a whole document is refused.

use super::{check, outcome, read};
use crate::rate::adapter::REJECTED_ENTRY_COUNT_MAX;

#[test]
fn figures_are_read_from_their_text() {
    let body = r#"{"base":"USD","date":"2020-01-01","rates":{"AAA":0.1000000000000000055,"BBB":1e-7,"CCC":"1.50",
        "DDD":12345678901234567890.123456789012345678,"EEE":1.0E+3,"FFF":"  2e0 "}}"#;
    check(
        "x.json",
        body,
        &[
            "fixer USD 2020-01-01 -: BBB=0.0000001 CCC=1.50 DDD=12345678901234567890.123456789012345678 EEE=1000 FFF=2",
            "- 2020-01-01 AAA `0.1000000000000000055` RATE_SCALE_EXCEEDED",
            "! SNAPSHOT_MALFORMED rates written as JSON strings: 2",
        ],
    );
}

#[test]
fn bad_entries_are_refused_one_by_one() {
    let body = r#"{"base":"USD","date":"2020-01-01","rates":{"AAA":0,"BBB":-1.5,"CCC":true,"DDD":null,"EEE":"",
        "FFF":"NaN","GGG":NaN,"HHH":-Infinity,"III":"inf","JJJ":123456789012345678901,"KKK":1e-19,"LLL":{"x":1},
        "MMM":[1],"NNN":"1,5","OOO":1e999,"PPP":1e-999,"A€":1,"QQQ":-0.0,"EUR":0.9}}"#;
    check(
        "x.json",
        body,
        &[
            "fixer USD 2020-01-01 -: EUR=0.9",
            "- 2020-01-01 AAA `0` RATE_NON_POSITIVE",
            "- 2020-01-01 BBB `-1.5` RATE_NON_POSITIVE",
            "- 2020-01-01 CCC `true` RATE_NOT_NUMERIC",
            "- 2020-01-01 DDD `null` RATE_NOT_NUMERIC",
            "- 2020-01-01 EEE `` RATE_NOT_NUMERIC",
            "- 2020-01-01 FFF `NaN` RATE_NOT_NUMERIC",
            "- 2020-01-01 GGG `NaN` RATE_NOT_NUMERIC",
            "- 2020-01-01 HHH `-Infinity` RATE_NOT_NUMERIC",
            "- 2020-01-01 III `inf` RATE_NOT_NUMERIC",
            "- 2020-01-01 JJJ `123456789012345678901` RATE_SCALE_EXCEEDED",
            "- 2020-01-01 KKK `1e-19` RATE_SCALE_EXCEEDED",
            "- 2020-01-01 LLL `{\"x\":1}` RATE_NOT_NUMERIC",
            "- 2020-01-01 MMM `[1]` RATE_NOT_NUMERIC",
            "- 2020-01-01 NNN `1,5` RATE_NOT_NUMERIC",
            "- 2020-01-01 OOO `1e999` RATE_SCALE_EXCEEDED",
            "- 2020-01-01 PPP `1e-999` RATE_SCALE_EXCEEDED",
            "- 2020-01-01 A€ ``A€` is no currency code` RATE_SUSPECT",
            "- 2020-01-01 QQQ `-0.0` RATE_NON_POSITIVE",
        ],
    );
}

#[test]
fn words_for_numbers_inside_strings_are_left_alone() {
    let body = r#"{"disclaimer":"say \"NaN\" or Infinity \\","base":"USD","date":"2020-01-01","rates":{"EUR":0.9,"GBP":NaN}}"#;
    check(
        "x.json",
        body,
        &["openexchangerates USD 2020-01-01 -: EUR=0.9", "- 2020-01-01 GBP `NaN` RATE_NOT_NUMERIC"],
    );
}

#[test]
fn code_listed_twice_counts_only_when_both_agree() {
    let body = r#"{"base":"USD","date":"2020-01-01","rates":{"EUR":0.9,"EUR":0.90,"GBP":0.8,"gbp":0.7,"INR":70,"INR":null,"JPY":100}}"#;
    check(
        "x.json",
        body,
        &[
            "fixer USD 2020-01-01 -: EUR=0.9 JPY=100",
            "- 2020-01-01 INR `null` RATE_NOT_NUMERIC",
            "- 2020-01-01 GBP `2 different figures for one code` RATE_SUSPECT",
            "- 2020-01-01 INR `2 different figures for one code` RATE_SUSPECT",
        ],
    );
}

#[test]
fn base_with_another_figure_is_refused() {
    for figure in ["2", "0.999999", "null", "\"x\"", "0"] {
        let body = format!(r#"{{"base":"USD","date":"2020-01-01","rates":{{"USD":{figure},"EUR":0.9}}}}"#);
        let shown = figure.trim_matches('"');
        check(
            "x.json",
            &body,
            &[&format!("SNAPSHOT_BASE_INVALID: the base USD is listed as `{shown}`; expected 1")],
        );
    }
    let body = r#"{"base":"USD","date":"2020-01-01","rates":{"usd":"1.000","EUR":0.9}}"#;
    check(
        "x.json",
        body,
        &["fixer USD 2020-01-01 -: EUR=0.9", "! SNAPSHOT_MALFORMED rates written as JSON strings: 1"],
    );
}

#[test]
fn missing_or_odd_base_is_refused() {
    for (base, found) in [
        ("", "the document has no `base`"),
        (r#""base":null,"#, "the document has no `base`"),
        (r#""base":7,"#, "`base` is `7`"),
        (r#""base":"€","#, "`base` is `\"€\"`"),
    ] {
        let body = format!(r#"{{{base}"date":"2020-01-01","rates":{{"EUR":0.9}}}}"#);
        let expected = format!("SNAPSHOT_BASE_INVALID: {found}; expected the currency code of the base");
        check("x.json", &body, &[&expected]);
    }
}

#[test]
fn error_answers_are_refused_in_the_provider_s_words() {
    for (document, said) in [
        (
            r#"{"error":true,"status":401,"message":"app_id_inactive","description":"deactivated"}"#,
            "the provider answered `401: app_id_inactive: deactivated`",
        ),
        (
            r#"{"success":false,"error":{"code":105,"type":"base_access","info":"pay"}}"#,
            "the provider answered `105: base_access: pay`",
        ),
        (
            r#"{"error":{"code":"no_rates_available","message":"Try again."}}"#,
            "the provider answered `no_rates_available: Try again.`",
        ),
        (r#"{"error":"not found"}"#, "the provider answered `not found`"),
        (r#"{"message":"not found"}"#, "the provider answered `not found`"),
        (r#"{"success":false}"#, "the provider reports failure and does not say why"),
        (
            r#"{"success":false,"base":"USD","date":"2020-01-01","rates":{"EUR":0.9}}"#,
            "the provider reports failure and does not say why",
        ),
        (r#""Error: no longer available""#, "the provider answered `Error: no longer available`"),
    ] {
        check("2020-01-01.json", document, &[&format!("SNAPSHOT_ERROR_BODY: {said}")]);
    }
}

#[test]
fn long_words_of_a_payload_are_cut() {
    let message = "x".repeat(5_000);
    let refusal = read("x.json", format!(r#"{{"error":"{message}"}}"#).as_bytes()).unwrap_err();
    assert!(refusal.detail.chars().count() < 350, "{}", refusal.detail);
}

#[test]
fn documents_without_usable_rates_are_empty() {
    for (table, detail) in [
        ("{}", "the document holds no rates"),
        ("[]", "the document holds no rates"),
        ("null", "the document's rates are null"),
        (r#"{"USD":1}"#, "the document holds no rates"),
        (
            r#"{"EUR":0,"GBP":null}"#,
            "none of the 2 rates is usable; the first is `EUR` = `0` (RATE_NON_POSITIVE)",
        ),
    ] {
        let body = format!(r#"{{"base":"USD","date":"2020-01-01","rates":{table}}}"#);
        check("x.json", &body, &[&format!("SNAPSHOT_EMPTY: {detail}")]);
    }
}

#[test]
fn other_documents_are_malformed() {
    for (document, beginning) in [
        ("", "the document is empty"),
        (" \n", "the document is empty"),
        ("null", "the document begins with `null`"),
        ("Service Unavailable", "the document begins with `Service Unavailable`"),
        ("<!DOCTYPE html><html><body>503</body></html>", "the document is `<html>`"),
        ("<html><body>503<br></body></html>", "the document is `<html>`"),
        ("\"rates tomorrow\"", "the document is the JSON string `rates tomorrow`"),
        ("[]", "not a whole JSON object"),
        ("{}", "an object with the members [] is of no known shape"),
        (
            r#"{"hello":1,"date":"2020-01-01"}"#,
            "an object with the members [`hello`, `date`] is of no known shape",
        ),
        (r#"{"base":"USD","date":"2020-01-01","rates":{"EUR":0.9"#, "not a whole JSON object"),
        (r#"{"base":"USD","date":"2020-01-01","rates":{"EUR":0.9}} {}"#, "not a whole JSON object"),
        (
            r#"{"base":"USD","base":"EUR","date":"2020-01-01","rates":{"EUR":0.9}}"#,
            "`base` is given more than once",
        ),
        (r#"{"base":"USD","date":"2020-01-01","rates":7}"#, "the rates are `7`"),
        (r#"{"base":"USD","rates":{"EUR":{"open":0.9,"close":0.8}}}"#, "the entry `EUR` is no day"),
        (r#"{"request":{"from":"USD"},"meta":{},"response":92.4}"#, "the answer to one conversion"),
        (
            r#"{"success":true,"timestamp":1583227144,"target":"USD","rates":{"BTC":8822.6}}"#,
            "the figures are prices of each code",
        ),
    ] {
        let found = outcome("x.json", document);
        assert!(found.starts_with(&format!("SNAPSHOT_MALFORMED: {beginning}")), "{document}: {found}");
    }
    let latin = read("x.json", b"{\"base\":\"\xa3\"}").unwrap_err();
    assert_eq!(latin.to_string(), "SNAPSHOT_MALFORMED: byte 9 is not utf-8; expected a text document");
}

#[test]
fn refused_entries_are_listed_up_to_a_bound() {
    let days = 300;
    let codes: Vec<String> = (0..40).map(|index| format!(r#""Z{index}":0"#)).collect();
    let tables: Vec<String> =
        (0..days).map(|day| format!(r#""2{:03}-01-01":{{"EUR":1.1,{}}}"#, day, codes.join(","))).collect();
    let body = format!(r#"{{"base":"USD","rates":{{{}}}}}"#, tables.join(","));
    let admission = read("x.json", body.as_bytes()).unwrap();
    assert_eq!(admission.snapshots.len(), days);
    assert_eq!(admission.entries.len(), REJECTED_ENTRY_COUNT_MAX);
    // 300 days of 40 zeros are 12,000 refusals.
    let notice = &admission.notices[0];
    assert_eq!(notice.detail, "refused entries that are not listed: 2000");
}
