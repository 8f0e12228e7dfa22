use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde_json::json;

use super::*;

fn call(sql: &str) -> Result<JobCall> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
    match statements.pop() {
        Some(Statement::Call(function)) => job_call(&function),
        other => panic!("{other:?} is no call"),
    }
}

fn check(sql: &str, expected_job: &str, expected: Value, expected_wait: bool) {
    let JobCall::Run { job, options, wait } = call(sql).unwrap() else { panic!("{sql} runs nothing") };
    assert_eq!(
        (job.as_str(), Value::Object(options), wait),
        (expected_job, expected, expected_wait),
        "{sql}"
    );
}

fn check_refused(sql: &str, expected: &str) {
    let error = call(sql).unwrap_err();
    assert!(error.message.contains(expected), "{sql}: {}", error.message);
}

#[test]
fn arguments_become_the_options_of_a_spec_file() {
    check(
        "CALL normalize(source => 's3://raw/{date}/*.csv', to => 'INR, SGD', date => DATE '2024-05-01', wait => true)",
        "normalize",
        json!({
            "source": {"url": "s3://raw/{date}/*.csv"}, "target": {"currencies": ["INR", "SGD"]},
            "run": {"date": "2024-05-01"},
        }),
        true,
    );
    check(
        "call NORMALIZE(source_url => 'a', output => 'b', parallelism => 4, lineage => TRUE, \
         max_quarantine_ratio => 0.25, target_currencies => ['INR', 'SGD'], wait => false)",
        "normalize",
        json!({
            "source": {"url": "a"},
            "output": {"url": "b", "lineage": true},
            "run": {"parallelism": 4},
            "quality": {"max_quarantine_ratio": 0.25},
            "target": {"currencies": ["INR", "SGD"]},
        }),
        false,
    );
    check("CALL compact()", "compact", json!({}), true);
    check("CALL compact", "compact", json!({}), true);
}

#[test]
fn instants_dates_and_lists_may_be_written_in_two_ways() {
    for written in ["TIMESTAMP '2024-05-01T06:00:00Z'", "'2024-05-01T08:00:00+02:00'"] {
        check(
            &format!("CALL restate(output => 't', known_to => {written})"),
            "restate",
            json!({"output": {"url": "t"}, "known": {"to": "2024-05-01T06:00:00Z"}}),
            true,
        );
    }
    for written in ["ARRAY['a', 'b']", "['a', 'b']", "'a,b'"] {
        check(
            &format!("CALL restate(batches => {written})"),
            "restate",
            json!({"run": {"batches": ["a", "b"]}}),
            true,
        );
    }
    check("CALL normalize(date => '2024-05-01')", "normalize", json!({"run": {"date": "2024-05-01"}}), true);
}

#[test]
fn maps_may_lie_within_each_other() {
    let expected = json!({
        "query": {"sql": "SELECT 1"},
        "tables": {"t": {"url": "s3://b/t", "format": "csv", "types": {"id": "int64"}}},
        "output": {"url": "o.csv"},
    });
    for tables in [
        "MAP {'t': MAP {'url': 's3://b/t', 'format': 'csv', 'types': MAP {'id': 'int64'}}}",
        "{'t': {'url': 's3://b/t', 'format': 'csv', 'types': {'id': 'int64'}}}",
        r#"'{"t": {"url": "s3://b/t", "format": "csv", "types": {"id": "int64"}}}'"#,
    ] {
        let sql = format!("CALL query(sql => 'SELECT 1', tables => {tables}, output => 'o.csv')");
        check(&sql, "query", expected.clone(), true);
        let mut places = call(&sql).unwrap().places();
        places.sort();
        assert_eq!(places, ["o.csv", "s3://b/t"], "{sql}");
    }
}

#[test]
fn every_place_is_told_however_it_is_called() {
    let places = call(
        "CALL normalize(source => 'a', source_tables => MAP {'m': MAP {'url': 'b'}}, rates_url => 'c', output => 'd', \
         ready_expect => ['e', 'f'], sql => 'SELECT url FROM source')",
    )
    .unwrap()
    .places();
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(sorted, ["a", "b", "c", "d", "e", "f"]);
    assert!(call("CALL cancel_run('x')").unwrap().places().is_empty());
}

#[test]
fn a_value_of_another_type_is_refused_with_what_is_expected() {
    for (argument, expected) in [
        (
            "date => 5",
            "argument `date` of `normalize` is the number 5, expected a day such as DATE '2024-05-01'",
        ),
        ("date => DATE '2024-13-01'", "argument `date` of `normalize` is DATE '2024-13-01', expected a day"),
        ("source => 5", "argument `source` of `normalize` is the number 5, expected a place as a text"),
        ("sql => TRUE", "argument `sql` of `normalize` is true, expected a text such as 'abc'"),
        ("parallelism => '4'", "is the text '4', expected a whole number"),
        ("parallelism => 4.5", "is the number 4.5, expected a whole number"),
        ("max_quarantine_ratio => 'all'", "is the text 'all', expected a number"),
        ("lineage => 'yes'", "is the text 'yes', expected true or false"),
        ("to => ['INR', 5]", "is a list, expected a list of texts such as ['INR', 'SGD']"),
        ("source_types => ['a']", "is a list, expected a map such as MAP {'name': 'value'}"),
        ("source_types => '[1]'", "is the text '[1]', expected a map such as MAP"),
        (
            "known_as_of => TIMESTAMP '2024-05-01 06:00:00'",
            "is TIMESTAMP '2024-05-01 06:00:00', expected an instant",
        ),
        ("wait => 1", "argument `wait` of `normalize` is the number 1, expected true or false"),
    ] {
        check_refused(&format!("CALL normalize({argument})"), expected);
    }
    check("CALL normalize(max_age_days => -1)", "normalize", json!({"rates": {"max_age_days": -1}}), true);
}

#[test]
fn what_is_no_constant_is_refused() {
    for value in ["1 + 1", "lower('A')", "x", "CAST('1' AS INT)", "(SELECT 1)", "X'00'", "INTERVAL '1 day'"] {
        check_refused(&format!("CALL normalize(source => {value})"), "expected a constant: a text, a number");
    }
    check_refused("CALL normalize(source => NULL)", "is NULL: leave an argument without a value out");
    check_refused("CALL normalize(source => $1)", "is the parameter $1, expected a constant");
    check_refused("CALL normalize(source => *)", "has the argument `source => *`, expected `name => value`");
    check_refused("CALL normalize(source_types => MAP {'a': 'x', 'a': 'y'})", "has `a` twice");
    let deep = format!("{}'a'{}", "[".repeat(20), "]".repeat(20));
    check_refused(&format!("CALL normalize(to => {deep})"), "more than 16 lists within each other");
}

/// Whoever forgets the quotes of a secret finds it in no log.
#[test]
fn a_secret_value_is_not_told() {
    check_refused(
        "CALL normalize(api_key => hunter2)",
        "argument `api_key` of `normalize` is no constant, expected a constant: a text, a number, true or false, \
         DATE '…', TIMESTAMP '…', a list ['…', '…'] or MAP {'name': '…'}",
    );
}

#[test]
fn an_unknown_argument_is_refused_with_the_nearest_and_the_valid_ones() {
    check_refused(
        "CALL normalize(sorce => 'a')",
        "`normalize` has no argument `sorce`, did you mean `source`?; expected one of source, format,",
    );
    check_refused(
        "CALL compact(url => 'a')",
        "`compact` has no argument `url`; expected one of output, partition, files_max, target_bytes, wait",
    );
}

#[test]
fn an_argument_is_given_once_and_by_name() {
    check_refused(
        "CALL normalize(source => 'a', source => 'b')",
        "argument `source` of `normalize` is given twice",
    );
    check_refused(
        "CALL normalize(source => 'a', source_url => 'b')",
        "the arguments `source` and `source_url` of `normalize` are the same one, given twice",
    );
    check_refused("CALL normalize(wait => true, wait => true)", "`wait` of `normalize` is given twice");
    check_refused(
        "CALL compact('out')",
        "CALL compact has the value 'out' without a name, expected `name => value`",
    );
}

#[test]
fn an_unknown_job_is_refused_with_those_there_are() {
    let error = call("CALL normalise(source => 'a')").unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::NotFound);
    let expected = "no job `normalise`, did you mean `normalize`?; expected one of normalize, compact, query, \
                    restate, cancel_run";
    assert_eq!(error.message, expected);
    check_refused("CALL public.normalize()", "no job `public.normalize`");
    check_refused("CALL \"Normalize\"()", "no job `Normalize`");
    check_refused("CALL compact(DISTINCT output => 'a')", "has clauses that a call does not have");
}

#[test]
fn a_run_is_cancelled_by_its_id() {
    for sql in ["CALL cancel_run('r-1')", "CALL cancel_run(run_id => 'r-1')"] {
        assert_eq!(call(sql).unwrap(), JobCall::CancelRun { run_id: "r-1".to_owned() });
    }
    for sql in
        ["CALL cancel_run()", "CALL cancel_run(1)", "CALL cancel_run('a', 'b')", "CALL cancel_run(id => 'a')"]
    {
        check_refused(sql, "CALL cancel_run takes one run's id");
    }
}
