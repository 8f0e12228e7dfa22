def test_who_is_not_let_in_learns_nothing(server):
    texts = set()
    for user, password in (("rea", "wrong"), ("nobody", "wrong"), ("rea", ""), ("", "")):
        with pytest.raises(adbc_driver_manager.Error) as refused:
            with server.connect(user, password) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        assert refused.value.status_code.name == "UNAUTHENTICATED", refused.value
        texts.add(str(refused.value).split("Vendor code")[0].replace(user or "\0", ""))
    with pytest.raises(adbc_driver_manager.Error) as refused:
        with server.connect(token="cambist_forged") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert refused.value.status_code.name == "UNAUTHENTICATED"


def test_each_role_may_do_its_statements_and_no_others(server, settings):
    [folder] = settings[""]["locations"]
    call = f"CALL compact(output => '{folder}/sales')"
    create = f"CREATE EXTERNAL TABLE role_test STORED AS CAMBIST LOCATION '{folder}/sales'"
    statements = [
        ("SELECT count(*) FROM sales", {"rea", "oli", "ada"}),
        ("EXPLAIN SELECT count(*) FROM sales", {"rea", "oli", "ada"}),
        ("SHOW TABLES", {"rea", "oli", "ada"}),
        ("DESCRIBE sales", {"rea", "oli", "ada"}),
        ("SET cambist.rates = 'rates'", {"rea", "oli", "ada"}),
        (call, {"oli", "ada"}),
        (create, {"ada"}),
        ("DROP TABLE role_test", {"ada"}),
        ("INSERT INTO sales SELECT * FROM sales", set()),
        ("DELETE FROM sales", set()),
        ("UPDATE sales SET dt = ''", set()),
        ("CREATE TABLE t AS SELECT 1 AS a", set()),
        ("CREATE VIEW v AS SELECT 1 AS a", set()),
        (f"COPY sales TO '{folder}/copy.csv'", set()),
        ("SET datafusion.execution.batch_size = '1'", set()),
        ("DROP TABLE sales", set()),
    ]
    for statement, allowed in statements:
        for user in ("rea", "oli", "ada"):
            if user in allowed:
                execute(server, statement, user)
            else:
                status, text = refusal(server, statement, user)
                assert status in ("UNAUTHORIZED", "INVALID_ARGUMENT", "NOT_IMPLEMENTED", "INVALID_STATE", "NOT_FOUND"), (
                    user, statement, text)
    assert not (folder / "copy.csv").exists()


def execute(server, statement, user):
    """Executes a statement, whether it returns rows or not."""
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()


def refusal(server, statement, user):
    try:
        execute(server, statement, user)
    except adbc_driver_manager.Error as error:
        return error.status_code.name, str(error)
    raise AssertionError(f"{user} was not refused: {statement}")


@pytest.mark.parametrize("place", [
    "/etc/passwd", "file:///etc/passwd", "{folder}/../../../../etc/passwd", "file://{folder}/%2e%2e/%2e%2e/etc/passwd",
    "file://{folder}/../secret.csv", "{folder}//..//..//secret.csv", "{folder}/link/passwd", "s3://elsewhere/x.csv",
    "http://127.0.0.1/x.csv", "",
])
def test_no_statement_names_a_place_outside(server, settings, place):
    [folder] = settings[""]["locations"]
    link = folder / "link"
    if not link.exists():
        link.symlink_to("/etc")
    place = place.format(folder=folder)
    for statement in (
        f"CREATE EXTERNAL TABLE outside STORED AS CSV LOCATION '{place}'",
        f"CALL normalize(source => '{place}', rates => '{folder}/rates', to => 'EUR', output => '{folder}/out')",
        f"CALL normalize(source => '{folder}/raw', rates => '{folder}/rates', to => 'EUR', output => '{place}')",
    ):
        status, text = refusal(server, statement, "ada")
        assert status in ("UNAUTHORIZED", "INVALID_ARGUMENT"), (statement, text)
        assert "root:" not in text
    for statement in (f"SELECT * FROM '{place}'", f"SELECT * FROM read_csv('{place}')",
                      f"SELECT * FROM table_at('{place}', '2024-01-01T00:00:00Z')"):
        status, text = refusal(server, statement, "ada")
        assert status in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHORIZED"), (statement, text)


