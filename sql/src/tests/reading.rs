//! Queries on declared tables, names that do not exist, and places that nobody may read.

use std::sync::Arc;

use super::bench::{Bench, Elsewhere};
use crate::access::Role;
use crate::error::SqlErrorKind;

#[tokio::test]
async fn declared_tables_are_read_by_names_as_they_are_written() {
    let bench = Bench::new().await;
    for (sql, expected) in [
        ("SELECT id, amount FROM sales WHERE currency = 'USD' ORDER BY id", &["1|10.00", "3|7.00"][..]),
        ("SELECT sum(amount) AS total FROM cambist.public.sales", &["37.50"]),
        ("WITH s AS (SELECT * FROM sales) SELECT count(*) FROM s JOIN sales USING (id)", &["3"]),
        ("VALUES (1, 'a'), (2, NULL)", &["1|a", "2|null"]),
        ("SELECT value FROM generate_series(1, 3)", &["1", "2", "3"]),
        ("SELECT 1.10 + 2.20", &["3.30"]),
        ("SELECT count(*) FROM sales WHERE false", &["0"]),
        ("SELECT id FROM sales WHERE false", &[]),
    ] {
        assert_eq!(bench.read(sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn types_that_clients_cannot_read_become_plain() {
    let bench = Bench::new().await;
    let sql = "SELECT arrow_cast('a long text that is no inline view', 'Utf8View') AS a, \
               arrow_cast('x', 'Dictionary(Int32, Utf8)') AS b, [arrow_cast('y', 'Utf8View')] AS c";
    assert_eq!(bench.read(sql).await.unwrap(), ["a long text that is no inline view|x|[y]"]);
}

#[tokio::test]
async fn unknown_names_are_pointed_at_and_near_ones_are_told() {
    let bench = Bench::new().await;
    for (sql, message, hint) in [
        (
            "SELECT *\nFROM salse",
            "there is no table `salse`, line 2, column 6\n  FROM salse\n       ^",
            "did you mean `sales`?",
        ),
        ("SELECT * FROM Sales", "there is no table `Sales`, line 1, column 15\n", "did you mean `sales`?"),
        (
            "SELECT * FROM system.run",
            "there is no table `system.run`, line 1, column 15\n",
            "did you mean `runs`?",
        ),
        (
            "SELECT * FROM nowhere.sales",
            "there is no table `nowhere.sales`",
            "the schemas are `public`, `system`",
        ),
        ("SELECT * FROM table_at('salse', '2024-05-01T00:00:00Z')", "there is no table `salse`", "`sales`?"),
        (
            "SELECT amont FROM sales",
            "there is no column `amont`, line 1, column 8\n  SELECT amont FROM sales\n         ^",
            "did you mean `amount`?",
        ),
        (
            "SELECT s.x FROM sales s",
            "there is no column `s.x`, line 1, column 8\n",
            "the columns are `amount`, `currency`",
        ),
        (
            "SELECT upper(currency), fx_convrt(amount, 'USD', day, 'INR') FROM sales",
            "there is no function `fx_convrt`, line 1, column 25\n",
            "did you mean `fx_convert`",
        ),
        (
            "SELECT * FROM generate_serie(1, 2)",
            "there is no table function `generate_serie`",
            "`generate_series`",
        ),
    ] {
        let error = bench.read(sql).await.unwrap_err();
        assert_eq!(error.kind, SqlErrorKind::NotFound, "{sql}: {error}");
        assert!(error.message.starts_with(message), "{sql}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{sql}: {:?}", error.hint);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_runs() {
    let bench = Bench::new().await;
    for sql in ["SELECT amount FROM sales GROUP BY id", "SELECT sum(currency) FROM sales"] {
        let error = bench.read(sql).await.unwrap_err();
        assert_eq!(error.kind, SqlErrorKind::Invalid, "{sql}: {error}");
    }
}

/// Whatever a FROM names, only declared tables are opened.
#[tokio::test]
async fn no_path_or_url_is_ever_read() {
    let bench = Bench::new().await;
    let secret = bench.path("secret/salaries.csv");
    let mut texts = Vec::new();
    for place in [
        secret.clone(),
        format!("file://{secret}"),
        format!("{}/../secret/salaries.csv", bench.path("raw")),
        format!("{}/*.csv", bench.path("secret")),
        "s3://bucket/salaries.csv".to_owned(),
        "https://example.com/salaries.csv".to_owned(),
    ] {
        texts.push(format!("SELECT * FROM '{place}'"));
        texts.push(format!("SELECT * FROM \"{place}\""));
        texts.push(format!("SELECT * FROM public.\"{place}\""));
        for function in
            ["read_csv", "read_parquet", "csv", "parquet_metadata", "read_json", "glob", "generate_series"]
        {
            texts.push(format!("SELECT * FROM {function}('{place}')"));
        }
        texts.push(format!("SELECT * FROM table_at('{place}', '2024-05-01T00:00:00Z')"));
        texts.push(format!("SELECT * FROM table_quarantine('{place}')"));
    }
    for role in [Role::Reader, Role::Admin] {
        for sql in &texts {
            let error = bench.rows(&bench.session(role), sql).await.unwrap_err();
            assert!(matches!(error.kind, SqlErrorKind::NotFound | SqlErrorKind::Invalid), "{sql}: {error}");
            assert!(!format!("{error:?}").contains("salary"), "{sql}: {error:?}");
        }
    }
    // No table function of the engine reads files.
    let functions = "SELECT name FROM system.functions WHERE kind = 'table' ORDER BY name";
    assert_eq!(
        bench.read(functions).await.unwrap(),
        ["generate_series", "range", "table_at", "table_quarantine"]
    );
}

#[tokio::test]
async fn a_table_is_declared_read_and_removed() {
    let bench = Bench::new().await;
    let admin = bench.session(Role::Admin);
    let create = format!(
        "CREATE EXTERNAL TABLE extra (amount DECIMAL(10,3)) STORED AS CSV LOCATION '{}'",
        bench.path("raw/sales.csv")
    );
    assert_eq!(bench.rows(&admin, &create).await.unwrap(), Vec::<String>::new());
    assert_eq!(bench.read("SELECT max(amount) FROM extra").await.unwrap(), ["20.500"]);
    assert_eq!(bench.rows(&admin, &create).await.unwrap_err().kind, SqlErrorKind::Conflict);
    let again = create.replace("TABLE extra", "TABLE IF NOT EXISTS extra");
    bench.rows(&admin, &again).await.unwrap();
    bench.rows(&admin, "DROP TABLE extra").await.unwrap();
    assert_eq!(bench.read("SELECT * FROM extra").await.unwrap_err().kind, SqlErrorKind::NotFound);
    let error = bench.rows(&admin, "DROP TABLE salez").await.unwrap_err();
    assert_eq!((error.kind, error.hint.as_deref()), (SqlErrorKind::NotFound, Some("did you mean `sales`?")));
    bench.rows(&admin, "DROP TABLE IF EXISTS salez").await.unwrap();
    for place in ["secret/salaries.csv", "raw/../secret/salaries.csv"] {
        let denied = create.replace(&bench.path("raw/sales.csv"), &bench.path(place));
        assert_eq!(bench.rows(&admin, &denied).await.unwrap_err().kind, SqlErrorKind::Denied, "{denied}");
    }
}

#[tokio::test]
async fn tables_and_columns_are_told_though_one_cannot_be_opened() {
    let bench = Bench::new().await;
    let tables = bench.read("SHOW TABLES").await.unwrap();
    assert!(tables.contains(&"cambist|public|sales|BASE TABLE".to_owned()), "{tables:?}");
    assert!(tables.contains(&"cambist|system|runs|BASE TABLE".to_owned()), "{tables:?}");
    let columns = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'sales' ORDER BY ordinal_position";
    let expected = ["id|Int64", "amount|Decimal128(12, 2)", "currency|Utf8", "day|Date32"];
    assert_eq!(bench.read(columns).await.unwrap(), expected);
    let described = ["id|Int64|YES", "amount|Decimal128(12, 2)|YES", "currency|Utf8|YES", "day|Date32|YES"];
    for sql in ["DESCRIBE sales", "SHOW COLUMNS FROM sales"] {
        assert_eq!(bench.read(sql).await.unwrap(), described, "{sql}");
    }
    let session = bench.session(Role::Reader);
    let told = bench.service.tables(&session, |_, _| true).await.unwrap();
    let sales = told.iter().find(|table| table.name == "sales").unwrap();
    assert_eq!(sales.columns.as_ref().unwrap().fields().len(), 4);
    assert!(told.iter().any(|table| table.name == "gone" && table.columns.is_none()));
    assert!(told.iter().any(|table| table.schema == "system" && table.name == "queries"));
    let told =
        bench.service.tables(&session, |schema, name| (schema, name) == ("public", "sales")).await.unwrap();
    let known: Vec<&str> =
        told.iter().filter(|table| table.columns.is_some()).map(|table| table.name.as_str()).collect();
    assert_eq!(known, ["sales"]);
    assert!(
        bench
            .service
            .tables(&session, |_, _| false)
            .await
            .unwrap()
            .iter()
            .all(|table| table.columns.is_none())
    );
}

#[tokio::test]
async fn only_plans_that_read_files_leave_this_process() {
    let elsewhere = Arc::new(Elsewhere::default());
    let bench = Bench::with(|_| {}, Arc::clone(&elsewhere) as _).await;
    for sql in [
        "SELECT 1",
        "SELECT * FROM system.jobs",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM sales",
        "DESCRIBE sales",
    ] {
        bench.read(sql).await.unwrap();
    }
    assert_eq!(elsewhere.ran(), 0);
    bench.read("SELECT * FROM sales JOIN system.executors ON true").await.unwrap();
    assert_eq!(elsewhere.ran(), 1);
}

/// Between the check of a statement and its execution, and as long as a table is declared, links may be changed.
#[cfg(unix)]
#[tokio::test]
async fn a_place_that_leads_out_by_now_is_not_read() {
    let bench = Bench::new().await;
    let admin = bench.session(Role::Admin);
    let inner = bench.path("raw/inner");
    let fill = || {
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(format!("{inner}/salaries.csv"), "name\nnobody\n").unwrap();
    };
    let lead_out = || {
        std::fs::remove_dir_all(&inner).unwrap();
        std::os::unix::fs::symlink(bench.path("secret"), &inner).unwrap();
    };
    let create =
        |name: &str| format!("CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION '{inner}/salaries.csv'");
    let call = format!(
        "CALL normalize(source => '{inner}', rates => '{}', to => 'INR', output => '{}')",
        bench.path("raw"),
        bench.path("raw/out")
    );
    fill();
    bench.rows(&admin, &create("before")).await.unwrap();
    assert_eq!(bench.rows(&admin, "SELECT name FROM before").await.unwrap(), ["nobody"]);
    let prepared = [
        bench.service.prepare(&admin, &create("after")).await.unwrap(),
        bench.service.prepare(&admin, &call).await.unwrap(),
    ];
    lead_out();
    let error = bench.rows(&admin, "SELECT name FROM before").await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Denied, "{error}");
    for prepared in prepared {
        let refused = bench.service.execute(&prepared, None).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind, SqlErrorKind::Denied, "{refused}");
    }
    bench.rows(&admin, "DROP TABLE before").await.unwrap();
}
