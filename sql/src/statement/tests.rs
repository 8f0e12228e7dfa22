use super::*;
use crate::catalog::TableKind;

fn kind(sql: &str) -> Result<StatementKind> {
    Parsed::read(sql).map(|parsed| parsed.kind)
}

fn action(sql: &str) -> Result<Action> {
    Parsed::read(sql)?.action(sql)
}

fn refused(sql: &str) -> SqlError {
    let error = Parsed::read(sql).and_then(|parsed| parsed.action(sql)).unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Invalid, "{sql}");
    error
}

#[test]
fn statements_are_sorted_by_what_they_do() {
    for (expected, statements) in [
        (
            StatementKind::Select,
            &[
                "SELECT 1",
                "VALUES (1)",
                "WITH t AS (SELECT 1) SELECT * FROM t",
                "(SELECT 1) UNION ALL SELECT 2",
                "SELECT 1;",
            ][..],
        ),
        (
            StatementKind::Explain,
            &["EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "EXPLAIN VERBOSE SELECT 1"],
        ),
        (
            StatementKind::Show,
            &["SHOW TABLES", "SHOW COLUMNS FROM t", "SHOW cambist.rates", "SHOW ALL", "DESCRIBE t", "DESC t"],
        ),
        (
            StatementKind::Set,
            &["SET cambist.rates = 'oxr'", "SET cambist.rates TO oxr", "RESET cambist.rates"],
        ),
        (StatementKind::Call, &["CALL cancel_run('r1')", "CALL normalize(wait => false)"]),
        (StatementKind::CreateTable, &["CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'a.csv'"]),
        (StatementKind::DropTable, &["DROP TABLE t", "DROP TABLE IF EXISTS public.t"]),
    ] {
        for sql in statements {
            assert_eq!(kind(sql).unwrap(), expected, "{sql}");
        }
    }
}

#[test]
fn what_writes_is_refused_with_what_to_do_instead() {
    for (sql, found, instead) in [
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY", "read the rows"),
        ("INSERT INTO t VALUES (1)", "INSERT", "jobs"),
        ("UPDATE t SET a = 1", "UPDATE", "jobs"),
        ("DELETE FROM t", "DELETE", "jobs"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE", "CREATE EXTERNAL TABLE"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW", "WITH"),
        ("PREPARE p AS SELECT $1", "PREPARE", "client"),
        ("EXECUTE p(1)", "PREPARE", "client"),
        ("BEGIN", "a transaction", "one state"),
        ("SELECT 1 INTO t", "SELECT INTO", "jobs"),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "INSERT", "jobs"),
    ] {
        let error = refused(sql);
        assert!(error.message.starts_with(&format!("{found} is not supported, expected SELECT")), "{error}");
        assert!(error.hint.unwrap().contains(instead), "{sql}");
    }
    for sql in ["EXPLAIN DELETE FROM t", "EXPLAIN COPY (SELECT 1) TO 'x'", "EXPLAIN EXPLAIN SELECT 1"] {
        assert!(refused(sql).message.starts_with("EXPLAIN of this statement"), "{sql}");
    }
    for sql in ["DROP VIEW v", "CREATE SCHEMA s", "GRANT SELECT ON t TO u"] {
        assert!(refused(sql).message.contains(" is not supported, expected SELECT"), "{sql}");
    }
}

#[test]
fn one_statement_at_a_time() {
    assert_eq!(refused("SELECT 1; SELECT 2").message, "the text holds 2 statements, expected one");
    assert_eq!(refused("  ").message, "the text holds no statement");
    assert!(
        refused(&format!("SELECT '{}'", "x".repeat(1 << 20))).message.contains("expected at most 1048576")
    );
    assert!(
        refused(&format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200)))
            .message
            .contains("nested too deeply")
    );
}

#[test]
fn errors_of_syntax_point_at_the_place() {
    let error = refused("SELECT a,\n       b FRM t WHERE x");
    assert_eq!(
        error.message,
        "`t` was found, expected end of statement, line 2, column 14\n         b FRM t WHERE x\n               ^"
    );
    let error = refused("SELECT 'abc");
    assert!(error.message.ends_with("line 1, column 8\n  SELECT 'abc\n         ^"), "{error}");
}

#[test]
fn a_secret_is_not_quoted_by_an_error() {
    let error = refused(
        "CREATE EXTERNAL TABLE t STORED AS CSV OPTIONS ('aws.secret_access_key' 'hunter2' 'hunter3')",
    );
    assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    let error = refused(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'a' OPTIONS ('aws.secret_access_key' 'hunter2')",
    );
    assert!(
        error.message.contains("statements hold no credentials") && !error.message.contains("hunter"),
        "{error}"
    );
}

fn query(sql: &str) -> (String, Vec<String>) {
    let Action::Query(query) = action(sql).unwrap() else { panic!("{sql}") };
    (query.statement.to_string(), query.parameters)
}

#[test]
fn tables_of_another_time_are_renamed() {
    for (sql, expected) in [
        (
            "SELECT * FROM table_at('orders', '2024-05-01T02:00:00+02:00')",
            "SELECT * FROM \"orders@2024-05-01T00:00:00Z\" AS table_at",
        ),
        (
            "SELECT * FROM TABLE_AT('o', TIMESTAMP '2024-05-01T00:00:00Z') AS t",
            "SELECT * FROM \"o@2024-05-01T00:00:00Z\" AS t",
        ),
        (
            "EXPLAIN SELECT (SELECT count(*) FROM table_quarantine('o') q)",
            "EXPLAIN SELECT (SELECT count(*) FROM \"o@quarantine\" q)",
        ),
    ] {
        assert_eq!(query(sql).0.replace("EXPLAIN  ", "EXPLAIN "), expected);
    }
    for sql in [
        "SELECT * FROM table_at('orders')",
        "SELECT * FROM table_at('orders', now())",
        "SELECT * FROM table_at(x => 'orders', y => '2024-05-01T00:00:00Z')",
        "SELECT * FROM table_at('orders', 'yesterday')",
        "SELECT * FROM table_quarantine(orders)",
        "SELECT * FROM table_quarantine()",
    ] {
        assert!(refused(sql).message.contains("line 1, column 15"), "{sql}");
    }
}

#[test]
fn parameters_are_numbered_in_the_order_of_the_text() {
    let numbered = |count: usize| (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>();
    assert_eq!(
        query("SELECT ? FROM t WHERE a = ? ORDER BY b LIMIT ?"),
        ("SELECT $1 FROM t WHERE a = $2 ORDER BY b LIMIT $3".to_owned(), numbered(3))
    );
    assert_eq!(query("SELECT $2, $2").1, numbered(2));
    assert_eq!(query("SELECT $day, $to, $day").1, ["$day", "$to"]);
    assert_eq!(query("SELECT '?', \"$1\" FROM t").1, Vec::<String>::new());
    for sql in ["SELECT ?, $1", "SELECT $1, $day", "SELECT $day, ?"] {
        assert!(refused(sql).message.starts_with("parameters are written in two ways"), "{sql}");
    }
    assert!(refused("SELECT $100000").message.contains("above $1000"));
}

#[test]
fn options_of_a_session_are_set_shown_and_unset() {
    let set = |sql: &str| match action(sql).unwrap() {
        Action::SetOption(option, value) => (option.name(), value),
        other => panic!("{sql}: {other:?}"),
    };
    assert_eq!(set("SET cambist.rates = 'oxr'"), ("cambist.rates", Some("oxr".to_owned())));
    assert_eq!(set("SET cambist.rates TO oxr"), ("cambist.rates", Some("oxr".to_owned())));
    assert_eq!(
        set("SET cambist.rates_max_age_days = -5"),
        ("cambist.rates_max_age_days", Some("-5".to_owned()))
    );
    assert_eq!(set("SET cambist.rates = DEFAULT"), ("cambist.rates", None));
    assert_eq!(set("RESET cambist.rates_mode"), ("cambist.rates_mode", None));
    for sql in
        ["SET datafusion.execution.batch_size = 1", "SHOW datafusion.execution.batch_size", "RESET all"]
    {
        assert!(refused(sql).message.contains("expected one of `cambist.rates`"), "{sql}");
    }
    assert!(refused("SET cambist.rates = 1 + 1").message.contains("one constant"));
    let Action::ShowOptions(shown) = action("SHOW ALL").unwrap() else { panic!("SHOW ALL") };
    assert_eq!(shown.len(), 4);
}

#[test]
fn tables_are_declared_with_types_and_options() {
    let Action::CreateTable(table) = action(
        "CREATE EXTERNAL TABLE IF NOT EXISTS public.\"Sales\" (id BIGINT, amount DECIMAL(18,4), name VARCHAR, day DATE, \
         at TIMESTAMP, instant TIMESTAMP WITH TIME ZONE, is_paid BOOLEAN, weight DOUBLE) STORED AS csv \
         LOCATION 's3://lake/sales/*.csv' OPTIONS ('delimiter' ';', 'format.encoding' 'latin1')",
    )
    .unwrap() else {
        panic!("no table")
    };
    assert!(table.if_not_exists);
    assert_eq!((table.name.as_str(), table.settings.kind), ("Sales", TableKind::Raw));
    assert_eq!(table.settings.url, "s3://lake/sales/*.csv");
    assert_eq!(table.settings.format.as_deref(), Some("csv"));
    assert_eq!(table.settings.delimiter.as_deref(), Some(";"));
    assert_eq!(table.settings.encoding.as_deref(), Some("latin1"));
    let types: Vec<(&str, &str)> =
        table.settings.types.iter().map(|(name, column)| (name.as_str(), column.as_str())).collect();
    assert_eq!(
        types,
        [
            ("amount", "decimal(18,4)"),
            ("at", "timestamp"),
            ("day", "date"),
            ("id", "int64"),
            ("instant", "timestamptz"),
            ("is_paid", "bool"),
            ("name", "text"),
            ("weight", "float64"),
        ]
    );
}

#[test]
fn declarations_that_mean_something_else_are_refused() {
    for (sql, said) in [
        (
            "CREATE EXTERNAL TABLE t STORED AS AVRO LOCATION 'a'",
            "STORED AS `AVRO` is not known, expected CAMBIST",
        ),
        ("CREATE OR REPLACE EXTERNAL TABLE t STORED AS CSV LOCATION 'a'", "OR REPLACE is not supported"),
        ("CREATE UNBOUNDED EXTERNAL TABLE t STORED AS CSV LOCATION 'a'", "UNBOUNDED is not supported"),
        (
            "CREATE EXTERNAL TABLE t STORED AS CSV PARTITIONED BY (d) LOCATION 'a'",
            "PARTITIONED BY is not supported",
        ),
        (
            "CREATE EXTERNAL TABLE t (a INT NOT NULL) STORED AS CSV LOCATION 'a'",
            "has a constraint or a default",
        ),
        (
            "CREATE EXTERNAL TABLE t (a INTERVAL) STORED AS CSV LOCATION 'a'",
            "is of type INTERVAL, expected TEXT",
        ),
        (
            "CREATE EXTERNAL TABLE t (a DECIMAL(50,2)) STORED AS CSV LOCATION 'a'",
            "is of type DECIMAL(50,2), expected",
        ),
        ("CREATE EXTERNAL TABLE t (a INT, a INT) STORED AS CSV LOCATION 'a'", "is declared twice"),
        ("CREATE EXTERNAL TABLE t (a INT) STORED AS CAMBIST LOCATION 'a'", "knows its own columns"),
        (
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'a' OPTIONS ('has_header' 'true')",
            "`has_header` is not known",
        ),
        ("CREATE EXTERNAL TABLE system.t STORED AS CSV LOCATION 'a'", "names no table of schema `public`"),
        ("DROP TABLE system.runs", "names no table of schema `public`"),
        ("DROP TABLE a, b", "names 2 tables, expected one"),
    ] {
        assert!(refused(sql).message.contains(said), "{sql}: {}", refused(sql));
    }
}
