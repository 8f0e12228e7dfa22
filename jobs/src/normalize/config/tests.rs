//! Options that hold, and options that are refused.

use super::*;

const WHOLE: &str = "[source]\nurl = \"in.csv\"\n[rates]\nurl = \"rates\"\n[target]\ncurrencies = [\"sgd\"]\n[output]\nurl = \"out\"\n";

fn check(more: &str) -> Result<NormalizeConfig> {
    NormalizeConfig::try_from(NormalizeSpec::from_toml(&format!("{WHOLE}{more}"))?)
}

fn refused(more: &str) -> String {
    let error = check(more).unwrap_err();
    assert_eq!(error.kind, crate::error::ErrorKind::Usage);
    error.to_string()
}

#[test]
fn defaults_are_those_of_the_reference_page() {
    let config = check("").unwrap();
    assert_eq!(config.currencies, ["SGD"]);
    assert_eq!((config.max_age_days, config.rate_zone.as_str()), (Some(7), "UTC"));
    assert_eq!((config.partition_by.as_str(), config.batch.as_str()), ("dt", "default"));
    assert_eq!(config.rounding, RoundingMode::HalfEven);
}

#[test]
fn the_instant_mode_has_no_age_limit_of_its_own() {
    let config = check("").unwrap();
    assert_eq!(config.mode(), AsOfMode::Date);
    let spec = NormalizeSpec::from_toml(&WHOLE.replace("[rates]", "[rates]\nmode = \"instant\"")).unwrap();
    assert_eq!(NormalizeConfig::try_from(spec).unwrap().max_age_days, None);
}

#[test]
fn options_out_of_range_say_what_is_allowed() {
    assert_eq!(
        refused("[quality]\nmax_quarantine_ratio = 1.5\n"),
        "quality.max_quarantine_ratio is 1.5, expected 0 to 1"
    );
    assert_eq!(refused("[run]\ntask_bytes = 5\n"), "run.task_bytes is 5, expected 1048576 (1 MiB) or more");
    assert_eq!(refused("files_per_partition = 0\n"), "output.files_per_partition is 0, expected 1 to 10000");
    assert_eq!(refused("[run]\nparallelism = 0\n"), "run.parallelism is 0, expected 1 to 1024");
    assert_eq!(
        refused("[run]\ndate = \"2024-02-30\"\n"),
        "run.date is `2024-02-30`, expected a date such as `2024-05-01`"
    );
    assert!(refused("[run]\nbatch = \"a\"\ndate = \"2024-02-01\"\n").contains("give one"));
}

#[test]
fn a_date_fills_the_source_and_names_the_batch() {
    let spec = WHOLE.replace("in.csv", "raw/{yyyy}/{mm}/{dd}/x-{date}.csv");
    let with_date = format!("{spec}[run]\ndate = \"2024-05-01\"\n");
    let config = NormalizeConfig::try_from(NormalizeSpec::from_toml(&with_date).unwrap()).unwrap();
    assert_eq!(config.source.url, "raw/2024/05/01/x-2024-05-01.csv");
    assert_eq!(config.batch, "2024-05-01");
    let without = NormalizeConfig::try_from(NormalizeSpec::from_toml(&spec).unwrap()).unwrap_err();
    assert!(without.to_string().contains("--date"), "{without}");
}

#[test]
fn a_dotted_role_of_a_json_source_is_a_path() {
    let spec = WHOLE.replace("in.csv\"", "in.ndjson\"\namount = \"amount.value\"\ncurrency = \"upper(ccy)\"");
    let config = NormalizeConfig::try_from(NormalizeSpec::from_toml(&spec).unwrap()).unwrap();
    assert_eq!(config.source.records.paths, ["amount.value"]);
}
