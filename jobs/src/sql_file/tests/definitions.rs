use std::path::Path;

use serde_json::{Value, json};

use super::super::definition::SqlFileJob;
use super::super::parameter::ParameterValue;
use crate::registry::{Job, OptionType, Registry};

const TOTALS: &str = r#"
/*---
summary = "Totals of a day by currency."

[parameters.day]
type = "date"
doc = "The day"

[parameters.least]
type = "decimal(18,2)"
default = "0.5"

[parameters.region]
type = "text"
default = "eu"

[tables.sales]
url = "out/{region}"
format = "cambist"

[output]
url = "/data/totals"
partition_by = "dt"
---*/
SELECT dt, count(*) AS sales FROM sales WHERE dt = $day AND amount > $least GROUP BY dt
"#;

fn job(text: &str) -> SqlFileJob {
    SqlFileJob::from_text(text, "daily_totals", Path::new("/jobs")).unwrap()
}

fn refused(text: &str) -> String {
    let error = SqlFileJob::from_text(text, "daily_totals", Path::new("/jobs")).unwrap_err();
    assert_eq!(error.kind, crate::error::ErrorKind::Usage);
    error.to_string()
}

fn prepared(options: Value) -> super::super::options::Prepared {
    super::super::options::Prepared::try_new(job(TOTALS).definition(), options).unwrap()
}

fn check_refused(options: Value, expected: &str) {
    let error = job(TOTALS).prepare(options.clone()).unwrap_err();
    assert!(error.to_string().contains(expected), "{options}: {error}");
    assert_eq!(error.hint.as_deref(), Some("`cambist jobs daily_totals` lists every option"));
}

#[test]
fn a_job_is_described_by_its_header() {
    let description = job(TOTALS).describe();
    assert_eq!(
        (description.name.as_str(), description.summary.as_str()),
        ("daily_totals", "Totals of a day by currency")
    );
    let options: Vec<_> = description
        .options
        .iter()
        .map(|option| {
            (option.key.as_ref(), option.option_type, option.kind.as_ref(), option.default.as_ref())
        })
        .collect();
    assert_eq!(
        options,
        [
            ("day", OptionType::Date, "date", "required"),
            ("least", OptionType::Decimal, "decimal(18,2)", "0.50"),
            ("region", OptionType::Text, "text", "eu"),
            ("output.url", OptionType::Place, "folder", "/data/totals"),
            ("run.batch", OptionType::Text, "name", "the job's name and the values of its parameters"),
        ]
    );
    assert_eq!(description.arguments(), ["day", "least", "region", "output", "batch"]);
}

#[test]
fn values_fill_places_and_name_the_batch() {
    let prepared = prepared(json!({"day": "2024-05-01"}));
    let config = prepared.config();
    assert_eq!(config.tables["sales"].url, "/jobs/out/eu");
    assert_eq!(config.output_url, "/data/totals");
    assert_eq!(config.batch, "daily_totals/day=2024-05-01/least=0.5/region=eu");
    let constants: Vec<String> =
        config.values.values().map(ParameterValue::constant).map(|expr| expr.to_string()).collect();
    assert_eq!(constants, ["CAST('2024-05-01' AS DATE)", "CAST('0.50' AS DECIMAL(18,2))", "'eu'"]);
}

#[test]
fn equal_values_are_one_batch_however_they_are_written() {
    let batch = |least: Value| prepared(json!({"day": "2024-05-01", "least": least})).config().batch.clone();
    for least in [json!(1), json!("1"), json!("1.00"), json!("1e0"), json!("+1")] {
        assert_eq!(batch(least.clone()), "daily_totals/day=2024-05-01/least=1/region=eu", "{least}");
    }
    assert_eq!(batch(json!("100")), "daily_totals/day=2024-05-01/least=100/region=eu");
    let given = json!({"day": "2024-05-01", "run": {"batch": "mine"}, "output": {"url": "/other"}});
    let prepared = prepared(given);
    assert_eq!((prepared.config().batch.as_str(), prepared.config().output_url.as_str()), ("mine", "/other"));
}

#[test]
fn a_text_that_is_no_name_is_a_batch_of_its_own_all_the_same() {
    let text = TOTALS.replace("out/{region}", "out");
    let batch = |region: &str| {
        let options = json!({"day": "2024-05-01", "region": region});
        let prepared = super::super::options::Prepared::try_new(job(&text).definition(), options).unwrap();
        prepared.config().batch.clone()
    };
    let (one, other) = (batch("a b"), batch("a/b"));
    assert_ne!(one, other);
    assert_eq!(one.len(), "daily_totals/".len() + 64);
    assert_eq!(one, batch("a b"));
    // A quote is a letter of the text, never an end of it.
    let options = json!({"day": "2024-05-01", "region": "x' OR '1'='1"});
    let prepared = super::super::options::Prepared::try_new(job(&text).definition(), options).unwrap();
    assert_eq!(prepared.config().values["region"].constant().to_string(), "'x'' OR ''1''=''1'");
}

#[test]
fn values_that_are_none_are_refused() {
    let day = "2024-05-01";
    check_refused(json!({}), "`day` is not given");
    check_refused(json!({"day": 5}), "`day` is 5, expected a day such as `2024-05-01`");
    check_refused(json!({"day": "2024-02-30"}), "expected a day such as");
    check_refused(json!({"day": day, "least": "0.505"}), "expected a number of at most 18 digits, 2 of them");
    check_refused(
        json!({"day": day, "least": "12345678901234567.00"}),
        "expected a number of at most 18 digits",
    );
    // A float has lost what the text beyond its digits said.
    check_refused(
        json!({"day": day, "least": 1.5}),
        "`least` is 1.5, expected a number of at most 18 digits",
    );
    check_refused(json!({"day": day, "least": 1.5}), "in quotes where it has decimals");
    check_refused(json!({"day": day, "region": 7}), "`region` is 7, expected a text");
    check_refused(
        json!({"day": day, "days": 7}),
        "option `days`: unknown, expected one of day, least, region, output.url, run.batch",
    );
    check_refused(json!({"day": day, "run": {"date": day}}), "option `run.date`: unknown");
    check_refused(json!({"day": day, "output": "x"}), "option `output` is \"x\", expected a section");
    check_refused(json!([day]), "expected an object of options");
}

#[test]
fn a_value_cannot_lead_to_another_folder() {
    for region in ["..", "../x", "a/b", "", ".hidden", "*", "a?b", "[a]", "a b", "s3://x", "ä"] {
        check_refused(json!({"day": "2024-05-01", "region": region}), "and it is a part of tables.sales.url");
    }
    assert_eq!(
        prepared(json!({"day": "2024-05-01", "region": "eu-west.1"})).config().tables["sales"].url,
        "/jobs/out/eu-west.1"
    );
}

#[test]
fn a_broken_header_is_refused_with_its_line() {
    for (change, expected) in [
        (("/*---", "/*"), "line 2: expected `/*---`"),
        (("---*/", "*/"), "line 2: the header that begins here has no end, expected `---*/`"),
        (("partition_by = \"dt\"", ""), "line 21, column 1"),
        (("[output]", "[outputs]"), "unknown field `outputs`"),
        (("type = \"date\"", "type = date"), "line 6, column 8"),
        (("type = \"date\"", "type = \"day\""), "parameters.day: type is `day`, expected text, int64,"),
        (
            ("type = \"date\"", "type = \"float64\""),
            "parameters.day: type is `float64`, expected text, int64,",
        ),
        (
            ("default = \"0.5\"", "default = \"x\""),
            "parameters.least: default: `least` is \"x\", expected a number",
        ),
        (("parameters.day]", "parameters.Day]"), "parameters.Day: expected a name of lower-case letters"),
        (
            ("parameters.day]", "parameters.url]"),
            "parameters.url: what is called so is a place in every job's",
        ),
        (
            ("default = \"0.5\"", "default = 0.5"),
            "parameters.least: default: `least` is 0.5, expected a number",
        ),
        (("parameters.day]", "parameters.run]"), "parameters.run: `output` and `run` are sections"),
        (
            ("out/{region}", "out/{zone}"),
            "tables.sales.url asks for `{zone}`, which is no parameter of the job",
        ),
        (("out/{region}", "out/{region"), "in which a `{` has no `}`"),
        (("/data/totals", "/data/{x}"), "output.url asks for `{x}`"),
        (("\"dt\"", "\"DT\""), "output.partition_by is `DT`, expected a lower-case name"),
        (("\"cambist\"", "\"xls\""), "tables.sales.format: invalid format `xls`"),
        (("$least", "$most"), "the SELECT has the parameter `$most`, which the header does not declare"),
        (("GROUP BY", "GROUP BUY"), "Line: 25, Column:"),
        (
            ("SELECT dt,", "SELECT 1; SELECT dt,"),
            "there are 2 statements below the header, expected one SELECT",
        ),
        (("SELECT dt,", "DELETE FROM x; --"), "what is below the header is not a SELECT"),
        (("SELECT dt,", "--"), "there is no SELECT below the header"),
    ] {
        assert!(TOTALS.contains(change.0), "{change:?}");
        let text = refused(&TOTALS.replacen(change.0, change.1, 1));
        assert!(text.contains(expected), "{change:?}: {text}");
    }
    assert!(refused("SELECT 1").starts_with("line 1: expected `/*---`"));
}

#[test]
fn the_jobs_of_a_folder_are_registered_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b_totals.sql", TOTALS);
    write("a_totals.sql", &TOTALS.replace("summary", "name = \"first\"\nsummary"));
    write("_draft.sql", "none");
    write("README.md", "none");
    let registry = Registry::built_in().with_folder(folder.path()).unwrap();
    let names: Vec<String> = registry.jobs().into_iter().skip(4).map(|job| job.name).collect();
    assert_eq!(names, ["first", "b_totals"]);
    let table = registry.prepare("first", json!({"day": "2024-05-01"})).unwrap();
    assert_eq!(table.name(), "first");
    assert_eq!(
        registry.options_from_toml("first", "day = 2024-05-01").unwrap(),
        json!({"day": "2024-05-01"})
    );

    // What a spec leaves out may be given otherwise.
    assert_eq!(registry.options_from_toml("first", "region = \"us\"").unwrap(), json!({"region": "us"}));

    write("c_totals.sql", &TOTALS.replace("summary", "name = \"query\"\nsummary"));
    let error = Registry::built_in().with_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("c_totals.sql`: a job `query` exists already"), "{error}");
    write("c_totals.sql", &TOTALS.replace("SELECT", &format!("SELECT 1{} AS one,", "+1".repeat(2000))));
    let error = Registry::built_in().with_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("more than 1000 operators and keywords in a row"), "{error}");
    write("c_totals.sql", "SELECT 1");
    let error = Registry::built_in().with_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("c_totals.sql`: line 1: expected `/*---`"), "{error}");
    let error = Registry::built_in().with_folder(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}
