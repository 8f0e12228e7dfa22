//! Every real payload of the shared test data, which `CAMBIST_DATA` points to.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::read;
use crate::rate::adapter::{Admission, Refusal};

fn data_folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CAMBIST_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("{test} is skipped: CAMBIST_DATA does not name a folder of test data");
    }
    folder
}

fn read_file(path: &Path) -> Result<Admission, Refusal> {
    read(path.file_name().unwrap().to_str().unwrap(), &fs::read(path).unwrap())
}

/// `provider base first-day days rates-of-the-first-day refused-entries [notices]`, or the refusal's code.
fn summary(path: &Path) -> String {
    let admission = match read_file(path) {
        Ok(admission) => admission,
        Err(refusal) => return refusal.reason.to_string(),
    };
    let first = &admission.snapshots[0];
    let valid = first.valid_at.map_or(String::new(), |instant| format!(" at {}", instant.0 / 1_000_000));
    let mut line = format!(
        "{} {} {}{valid}: {} days, {} rates",
        first.provider,
        first.base,
        first.rate_date,
        admission.snapshots.len(),
        first.rates.len()
    );
    for entry in &admission.entries {
        line.push_str(&format!(", {} {}", entry.code, entry.reason));
    }
    for notice in &admission.notices {
        line.push_str(&format!(", {}", notice.reason));
    }
    line
}

/// Checks every file of a folder against the table; a file that the table does not name is a failure.
#[track_caller]
fn check_folder(folder: &Path, expected: &[(&str, &str)]) {
    let mut unseen: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "INDEX.csv")
        .collect();
    for (name, outcome) in expected {
        assert_eq!(summary(&folder.join(name)), *outcome, "{name}");
        assert!(unseen.remove(*name), "{name} is named twice");
    }
    assert!(unseen.is_empty(), "files without an expectation: {unseen:?}");
}

/// The number of rates is that of the file's entries without the base and without the refused ones, counted
/// by another program. What is only implausible (an inverted RUB, a slipped decimal point) is accepted.
#[test]
fn odd_snapshots_get_their_reason() {
    let Some(data) = data_folder("odd_snapshots_get_their_reason") else {
        return;
    };
    check_folder(
        &data.join("oxr/odd"),
        &[
            ("bad_BTC_2025-12-06.currency-api-usd.json", "currency-api USD 2025-12-06: 1 days, 249 rates"),
            ("empty_rates_2011-10-12T17.json", "SNAPSHOT_EMPTY"),
            ("error_401_app_id_inactive.json", "SNAPSHOT_ERROR_BODY"),
            ("error_429_access_restricted.json", "SNAPSHOT_ERROR_BODY"),
            ("error_text_as_json_string_2012-06-24.json", "SNAPSHOT_ERROR_BODY"),
            ("impossible_date_2011-09-31.json", "SNAPSHOT_DATE_INVALID"),
            (
                "inverted_RUB_2011-11-14.json",
                "openexchangerates USD 2011-11-14 at 1321228800: 1 days, 101 rates",
            ),
            (
                "missing_own_base_and_string_rates_2011-11-08.json",
                "openexchangerates USD 2011-11-08 at 1320710400: 1 days, 101 rates, SNAPSHOT_MALFORMED",
            ),
            (
                "partial_87_codes_2011-10-11.json",
                "openexchangerates USD 2011-10-11 at 1318321664: 1 days, 86 rates",
            ),
            (
                "right_RUB_2011-11-15.json",
                "openexchangerates USD 2011-11-15 at 1321315200: 1 days, 163 rates",
            ),
            (
                "slip_x0.01_SEK_CZK_2008-01-29_day_before.json",
                "openexchangerates USD 2008-01-29 at 1201564800: 1 days, 98 rates",
            ),
            (
                "slip_x0.01_SEK_CZK_2008-01-30.json",
                "openexchangerates USD 2008-01-30 at 1201651200: 1 days, 98 rates",
            ),
            (
                "slip_x0.1_NZD_2000-05-21_day_before.json",
                "openexchangerates USD 2000-05-21 at 958867200: 1 days, 39 rates",
            ),
            (
                "slip_x0.1_NZD_2000-05-22.json",
                "openexchangerates USD 2000-05-22 at 958953600: 1 days, 39 rates",
            ),
            (
                "string_rates_2011-11-15.json",
                "openexchangerates USD 2011-11-15 at 1321315200: 1 days, 163 rates, SNAPSHOT_MALFORMED",
            ),
            (
                "timestamp_33_days_early_2012-03-31.json",
                "openexchangerates USD 2012-03-31 at 1330280050: 1 days, 157 rates, SNAPSHOT_TIME_SUSPECT",
            ),
            (
                "wrong_day_content_2011-11-08.json",
                "openexchangerates USD 2011-11-08 at 1320685862: 1 days, 158 rates",
            ),
            (
                "zero_rate_ZWD_2011-12-13.json",
                "openexchangerates USD 2011-12-13 at 1323817296: 1 days, 157 rates, ZWD RATE_NON_POSITIVE",
            ),
        ],
    );
}

#[test]
fn open_exchange_rates_answers_are_read_or_refused() {
    let Some(data) = data_folder("open_exchange_rates_answers_are_read_or_refused") else {
        return;
    };
    check_folder(
        &data.join("providers/openexchangerates"),
        &[
            ("convert.json", "SNAPSHOT_MALFORMED"),
            ("error_400_not_available.json", "SNAPSHOT_ERROR_BODY"),
            ("error_401_app_id_inactive.json", "SNAPSHOT_ERROR_BODY"),
            ("error_403_not_allowed.json", "SNAPSHOT_ERROR_BODY"),
            ("error_429_access_restricted.json", "SNAPSHOT_ERROR_BODY"),
            (
                "historical_2001-02-16.json",
                "openexchangerates USD 2001-02-16 at 982342800: 1 days, 135 rates",
            ),
            (
                "historical_2015-01-01.json",
                "openexchangerates USD 2015-01-01 at 1420153200: 1 days, 167 rates",
            ),
            ("latest_2014-10-22.json", "openexchangerates USD 2014-10-22 at 1414008044: 1 days, 167 rates"),
            ("ohlc_2023-01-01.json", "SNAPSHOT_MALFORMED"),
            ("time_series_2023-01.json", "openexchangerates USD 2023-01-01: 5 days, 3 rates"),
        ],
    );
}

#[test]
fn fixer_shaped_answers_are_read_or_refused() {
    let Some(data) = data_folder("fixer_shaped_answers_are_read_or_refused") else {
        return;
    };
    check_folder(
        &data.join("providers/fixer"),
        &[
            ("error_105_base_currency_access_restricted.json", "SNAPSHOT_ERROR_BODY"),
            ("historical_2000-01-03_date_only.json", "fixer USD 2000-01-03: 1 days, 27 rates"),
            (
                "historical_2000-01-03_with_timestamp.json",
                "fixer USD 2000-01-03: 1 days, 27 rates, SNAPSHOT_TIME_SUSPECT",
            ),
            ("latest_2016-08-26_date_only.json", "fixer EUR 2016-08-26: 1 days, 31 rates"),
            (
                "latest_2016-08-26_with_timestamp.json",
                "fixer EUR 2016-08-26: 1 days, 31 rates, SNAPSHOT_TIME_SUSPECT",
            ),
        ],
    );
    check_folder(
        &data.join("providers/exchangerate_host"),
        &[
            ("error_success_false.json", "SNAPSHOT_ERROR_BODY"),
            ("historical_2000-01-03.json", "fixer EUR 2000-01-03: 1 days, 27 rates"),
            ("latest_2022-04-29.json", "fixer EUR 2022-04-29: 1 days, 168 rates"),
            ("latest_2022-12-30_one_line.json", "fixer EUR 2022-12-30: 1 days, 168 rates"),
        ],
    );
}

#[test]
fn other_providers_answers_are_read_or_refused() {
    let Some(data) = data_folder("other_providers_answers_are_read_or_refused") else {
        return;
    };
    check_folder(
        &data.join("providers/currencylayer"),
        &[
            ("error_101_invalid_access_key.json", "SNAPSHOT_ERROR_BODY"),
            ("historical_2015-05-05.json", "currencylayer USD 2015-05-05 at 1430870399: 1 days, 167 rates"),
            ("live.json", "currencylayer USD 2014-05-10 at 1399748450: 1 days, 1 rates"),
        ],
    );
    check_folder(
        &data.join("providers/frankfurter"),
        &[
            ("error_404_not_found.json", "SNAPSHOT_ERROR_BODY"),
            (
                "historical_asked_sunday_2026-10-25_answers_friday.json",
                "frankfurter EUR 2026-10-23: 1 days, 29 rates, SNAPSHOT_TIME_SUSPECT",
            ),
            ("latest_2026-10-30.json", "frankfurter EUR 2026-10-30: 1 days, 29 rates"),
            ("latest_amount_10_scales_rates.json", "frankfurter EUR 2026-10-30: 1 days, 29 rates"),
            ("time_series_2026-10-19_2026-10-30.json", "frankfurter EUR 2026-10-19: 10 days, 5 rates"),
        ],
    );
    check_folder(
        &data.join("providers/other"),
        &[
            ("abstractapi_live.json", "abstractapi USD 2021-05-14 at 1620998100: 1 days, 32 rates"),
            ("coinlayer_error.json", "SNAPSHOT_ERROR_BODY"),
            ("coinlayer_live_opposite_orientation.json", "SNAPSHOT_MALFORMED"),
            ("exchangeratesapi_error_no_rates_available.json", "SNAPSHOT_ERROR_BODY"),
            ("exchangeratesapi_latest.json", "fixer EUR 2021-04-23 at 1619171643: 1 days, 1 rates"),
        ],
    );
}

#[test]
fn central_bank_xml_answers_are_read() {
    let Some(data) = data_folder("central_bank_xml_answers_are_read") else {
        return;
    };
    check_folder(
        &data.join("providers/ecb"),
        &[
            ("eurofxref-daily_2015-01-07.xml", "ecb EUR 2015-01-07: 1 days, 31 rates"),
            ("eurofxref-daily_2023-01-03.xml", "ecb EUR 2023-01-03: 1 days, 30 rates"),
            ("eurofxref-hist-90d_2019-11-29.xml", "ecb EUR 2019-09-02: 65 days, 32 rates"),
        ],
    );
}

/// The same publication, multiplied by ten and not, and as the central bank itself gives it.
#[test]
fn frankfurter_amount_of_ten_gives_the_central_bank_s_rates() {
    let Some(data) = data_folder("frankfurter_amount_of_ten_gives_the_central_bank_s_rates") else {
        return;
    };
    let rates = |file: &str| read_file(&data.join(file)).unwrap().snapshots.remove(0).rates;
    let published = rates("ecb/eurofxref.csv");
    assert_eq!(published.len(), 29);
    assert_eq!(rates("providers/frankfurter/latest_2026-10-30.json"), published);
    assert_eq!(rates("providers/frankfurter/latest_amount_10_scales_rates.json"), published);
}

#[test]
fn every_daily_file_is_read() {
    let Some(data) = data_folder("every_daily_file_is_read") else {
        return;
    };
    let mut rate_dates = BTreeSet::new();
    for entry in fs::read_dir(data.join("oxr/daily")).unwrap() {
        let path = entry.unwrap().path();
        let admission = read_file(&path).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
        let [snapshot] = &admission.snapshots[..] else { panic!("{}: one snapshot", path.display()) };
        assert_eq!(format!("{}.json", snapshot.rate_date), path.file_name().unwrap().to_str().unwrap());
        assert_eq!(admission.notices, [], "{}", path.display());
        assert!(admission.entries.iter().all(|entry| entry.code == "ZWD"), "{:?}", admission.entries);
        rate_dates.insert(snapshot.rate_date);
    }
    assert_eq!(rate_dates.len(), 412);
}

#[test]
fn whole_history_of_the_central_bank_is_read() {
    let Some(data) = data_folder("whole_history_of_the_central_bank_is_read") else {
        return;
    };
    let mut table = Vec::new();
    let packed = fs::read(data.join("ecb/eurofxref-hist.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut table).unwrap();
    let admission = read("eurofxref-hist.csv", &table).unwrap();
    assert_eq!(admission.snapshots.len(), 7_126);
    assert_eq!((admission.entries.len(), admission.notices.len()), (0, 0));
    let (first, last) = (&admission.snapshots[0], &admission.snapshots[7_125]);
    assert_eq!((first.rate_date.to_string(), first.rates.len()), ("1999-01-04".to_owned(), 27));
    assert_eq!((last.rate_date.to_string(), last.rates.len()), ("2026-10-30".to_owned(), 29));
    let rate_count: usize = admission.snapshots.iter().map(|snapshot| snapshot.rates.len()).sum();
    assert_eq!(rate_count, 221_702);
}
