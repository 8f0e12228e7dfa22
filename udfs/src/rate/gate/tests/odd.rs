//! Real payloads with a known fault, as they would arrive after the ones before them.

use std::fs;
use std::path::Path;

use super::feed::data_folder;
use super::*;
use crate::rate::adapter::{Payload, read_payload};

fn read(path: &Path) -> Snapshot {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let payload = Payload { bytes: &bytes, file_name: name, location: name, known_at: InstantMicros(0) };
    read_payload(&payload).unwrap().snapshots.remove(0)
}

#[test]
fn real_slips_are_held_by_the_day_before() {
    let Some(data) = data_folder("the gates on odd payloads") else { return };
    let odd = |name: &str| read(&data.join("oxr/odd").join(name));
    let check = |day: &str, before: &str, expected: &str| {
        let before = odd(before);
        let context = GateContext { predecessors: &[&before], ..ALONE };
        assert_eq!(held(&odd(day), &context, &GateOptions::default()), expected, "{day}");
    };
    check("slip_x0.1_NZD_2000-05-22.json", "slip_x0.1_NZD_2000-05-21_day_before.json", "NZD power_of_ten");
    check(
        "slip_x0.01_SEK_CZK_2008-01-30.json",
        "slip_x0.01_SEK_CZK_2008-01-29_day_before.json",
        "CZK power_of_ten, SEK power_of_ten",
    );
}

// 2011-11-15 is the first day with the right rouble; what else is held that day is the Irish pound, which
// was replaced in 2002, the Belarusian rouble after its devaluation and the Zimbabwean dollar.
#[test]
fn the_return_to_right_rates_passes_with_a_second_provider_only() {
    let Some(data) = data_folder("the gates on odd payloads") else { return };
    let odd = |name: &str| read(&data.join("oxr/odd").join(name));
    let (inverted, right) = (odd("inverted_RUB_2011-11-14.json"), odd("right_RUB_2011-11-15.json"));
    // European Central Bank, 2011-11-14 and 2011-11-15.
    let bank = [
        euros(15_292, "GBP 0.8566, RUB 41.6522, USD 1.3659"),
        euros(15_293, "GBP 0.85345, RUB 41.555, USD 1.3532"),
    ];
    let with = |day: &Snapshot, cross| {
        let context = GateContext {
            predecessors: &[&inverted][..usize::from(day.rate_date.0 == 15_293)],
            cross,
            ..ALONE
        };
        held(day, &context, &GateOptions::default())
    };
    assert_eq!(with(&inverted, Some(&bank[0])), "RUB inversion");
    assert_eq!(with(&right, Some(&bank[1])), "BYR jump, ZWD jump");
    assert_eq!(with(&right, None), "BYR jump, RUB inversion, ZWD jump");
}

// Asked for on 2012-03-31 and answered with the stamp of a day 33 days before.
#[test]
fn an_answer_of_another_month_is_held() {
    let Some(data) = data_folder("the gates on odd payloads") else { return };
    let snapshot = read(&data.join("oxr/odd/timestamp_33_days_early_2012-03-31.json"));
    let context = GateContext { named_date: Some(RateDate(15_430)), ..ALONE };
    assert_eq!(held(&snapshot, &context, &GateOptions::default()), "* time_date");
}

#[test]
fn a_rate_millions_of_times_off_is_held() {
    let Some(data) = data_folder("the gates on odd payloads") else { return };
    let snapshot = read(&data.join("oxr/odd/bad_BTC_2025-12-06.currency-api-usd.json"));
    // 1 BTC was about 89,000 USD on the day before.
    let before = Snapshot { rate_date: RateDate(snapshot.rate_date.0 - 1), ..dollars(0, "BTC 0.00001121") };
    let required = GateOptions { coverage_permille_min: 0, ..GateOptions::default() };
    let context = GateContext { predecessors: &[&before], ..ALONE };
    assert_eq!(held(&snapshot, &context, &required), "BTC jump");
}
