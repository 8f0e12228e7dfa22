"""Who may do what over SQL: log-ins, roles, places, and what is kept when a role is taken away."""

import contextlib

import adbc_driver_manager
import pyarrow as pa
import pytest

import clusters
import flight_sql
import sql_servers
from sql_servers import execute, grpc_code, refusal

EVERYBODY = {"rea", "oli", "ada"}
OPERATORS = {"oli", "ada"}
ADMINS = {"ada"}
SECRET = "known to nobody"


def test_who_is_not_let_in_learns_nothing(server):
    texts = set()
    attempts = [{"user": user, "password": password} for user, password in (
        ("rea", "wrong"), ("nobody", "wrong"), ("rea", ""), ("", ""), ("rea", sql_servers.PASSWORDS["ada"]))]
    attempts += [{"token": token} for token in ("cambist_forged", "x", server.token("rea")[:-1])]
    for attempt in attempts:
        with pytest.raises(adbc_driver_manager.Error) as refused:
            with server.connect(**attempt) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        assert refused.value.status_code.name == "UNAUTHENTICATED", refused.value
        # The driver adds at the end which of its calls has failed.
        texts.add(str(refused.value).rpartition(" (")[0])
    assert len(texts) == 1, texts


def statements_by_role(folder):
    """Each kind of statement: who may execute it."""
    return [
        ("SELECT count(*) FROM sales", EVERYBODY),
        ("VALUES (1), (2)", EVERYBODY),
        ("WITH totals AS (SELECT dt, count(*) AS n FROM sales GROUP BY dt) SELECT sum(n) FROM totals", EVERYBODY),
        ("EXPLAIN SELECT count(*) FROM sales", EVERYBODY),
        ("EXPLAIN ANALYZE SELECT count(*) FROM sales", EVERYBODY),
        ("SHOW TABLES", EVERYBODY),
        ("SHOW cambist.rates", EVERYBODY),
        ("DESCRIBE sales", EVERYBODY),
        ("SET cambist.rates = 'rates'", EVERYBODY),
        ("RESET cambist.rates", EVERYBODY),
        (f"CALL compact(output => '{folder}/sales')", OPERATORS),
        (f"CREATE EXTERNAL TABLE role_test STORED AS CAMBIST LOCATION '{folder}/sales'", ADMINS),
        ("DROP TABLE role_test", ADMINS),
    ]


def execute_prepared(server, statement, user):
    """Prepares a statement, and then executes it."""
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.adbc_prepare(statement)
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()


@pytest.mark.parametrize("way", [execute, execute_prepared])
def test_each_role_may_do_its_statements_and_no_others(server, settings, way):
    [folder] = settings[""]["locations"]
    for statement, allowed in statements_by_role(folder):
        for user in ("rea", "oli", "ada"):
            if user in allowed:
                way(server, statement, user)
            else:
                with pytest.raises(adbc_driver_manager.Error) as refused:
                    way(server, statement, user)
                assert refused.value.status_code.name == "UNAUTHORIZED", (user, statement, refused.value)


def test_who_may_not_do_it_does_not_learn_what_would_have_come(server, settings):
    [folder] = settings[""]["locations"]
    for statement, allowed, otherwise in (
        ("CALL cancel_run('no such run')", OPERATORS, "NOT_FOUND"),
        ("CALL no_such_job(option => 1)", OPERATORS, "NOT_FOUND"),
        ("CALL normalize(no_such_option => 1)", OPERATORS, "INVALID_ARGUMENT"),
        ("DROP TABLE no_such_table", ADMINS, "NOT_FOUND"),
        # Declared by the settings, and statements do not take that back.
        ("DROP TABLE sales", ADMINS, "UNAUTHORIZED"),
        (f"CREATE EXTERNAL TABLE t STORED AS NOTHING LOCATION '{folder}'", ADMINS, "INVALID_ARGUMENT"),
    ):
        for user in ("rea", "oli", "ada"):
            status, text = refusal(server, statement, user)
            assert status == (otherwise if user in allowed else "UNAUTHORIZED"), (user, statement, text)


def test_what_nobody_may_do_changes_nothing(server, settings):
    [folder] = settings[""]["locations"]
    before = server.rows("SELECT * FROM sales ORDER BY id"), server.rows("SHOW TABLES")
    for statement in (
        "INSERT INTO sales SELECT * FROM sales",
        "EXPLAIN ANALYZE INSERT INTO sales SELECT * FROM sales",
        "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
        "DELETE FROM sales",
        "UPDATE sales SET dt = ''",
        "TRUNCATE TABLE sales",
        "ALTER TABLE sales RENAME TO sold",
        "CREATE TABLE t AS SELECT 1 AS a",
        "CREATE VIEW v AS SELECT 1 AS a",
        "CREATE SCHEMA s",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "GRANT SELECT ON sales TO rea",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        f"COPY sales TO '{folder}/copy.csv'",
        f"EXPLAIN ANALYZE COPY sales TO '{folder}/copy.csv'",
        "SET datafusion.execution.batch_size = '1'",
        "RESET datafusion.execution.batch_size",
    ):
        for user in ("rea", "oli", "ada"):
            status, text = refusal(server, statement, user)
            assert status in ("INVALID_ARGUMENT", "NOT_IMPLEMENTED", "UNAUTHORIZED"), (user, statement, text)
    assert not (folder / "copy.csv").exists()
    assert (server.rows("SELECT * FROM sales ORDER BY id"), server.rows("SHOW TABLES")) == before


@contextlib.contextmanager
def demoted(server, name, role, statement):
    """A client whose user has prepared a statement, and then has become a reader."""
    server.users("add", name, "--role", role)
    with flight_sql.connect(server, server.token(name)) as raw:
        handle = raw.prepare(statement)
        server.users("add", name, "--role", "reader")
        # A change takes effect at the next call.
        text = flight_sql.refusal(raw.query, statement)
        assert "a reader may not" in text, text
        yield raw, handle
        assert raw.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_prepared_statement_is_worth_what_its_user_is(server, settings):
    [folder] = settings[""]["locations"]
    create = f"CREATE EXTERNAL TABLE demoted STORED AS CAMBIST LOCATION '{folder}/sales'"
    with demoted(server, "former_admin", "admin", create) as (raw, handle):
        flight_sql.refusal(raw.update_prepared, handle)
        assert not [row for row in server.rows("SHOW TABLES") if "demoted" in row]

    call = f"CALL compact(output => '{folder}/sales')"
    runs = "SELECT count(*) FROM system.runs"
    with demoted(server, "former_operator", "operator", call) as (raw, handle):
        before = server.rows(runs)
        flight_sql.refusal(raw.execute_prepared, handle)
        assert server.rows(runs) == before


def test_who_is_removed_and_added_anew_has_nothing_of_before(server):
    server.users("add", "gone", "--role", "reader")
    with flight_sql.connect(server, server.token("gone")) as raw:
        handle = raw.prepare("SELECT 1 AS one")
        assert raw.execute_prepared(handle).to_pylist() == [{"one": 1}]
        server.users("remove", "gone")
        assert "not authenticated" in flight_sql.refusal(raw.execute_prepared, handle)
    server.users("add", "gone", "--role", "reader")
    with flight_sql.connect(server, server.token("gone")) as raw:
        assert raw.query("SELECT 1 AS one").num_rows == 1


def values_that_may_stand_for_more():
    """Values of types of which a few bytes may stand for any number of rows."""
    return [
        pa.array([[1, 2]], pa.list_view(pa.int64())),
        pa.array([[1, 2]], pa.large_list_view(pa.int64())),
        pa.array([[[1], [2]]], pa.list_(pa.large_list_view(pa.int64()))),
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([7])),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        pa.array(["a"]).dictionary_encode(),
    ]


@pytest.fixture(scope="module")
def raw(server):
    """A reader without a driver."""
    with flight_sql.connect(server, server.token("rea")) as client:
        yield client


@pytest.mark.parametrize("value", values_that_may_stand_for_more(), ids=lambda value: str(value.type).split("<")[0])
def test_parameters_are_of_plain_types(raw, value):
    handle = raw.prepare("SELECT $1 AS value")
    text = flight_sql.refusal(raw.bind, handle, pa.record_batch([value], ["$1"]))
    assert "invalid argument" in text, text
    raw.bind(handle, pa.record_batch({"$1": ["plain"]}))
    info = raw.info("CommandPreparedStatementQuery", {1: handle})
    assert raw.fetch(info).to_pylist() == [{"value": "plain"}]


@pytest.fixture(scope="module")
def outside(settings):
    """A folder beside those that statements may name, and links that lead there."""
    [folder] = settings[""]["locations"]
    place = folder.parent / "outside"
    place.mkdir()
    (place / "secret.csv").write_text(f"id,note\n1,{SECRET}\n")
    (folder / "link").symlink_to("/etc")
    (folder / "linked").mkdir()
    (folder / "linked" / "a.csv").write_text("id,note\n2,ours\n")
    (folder / "linked" / "b.csv").symlink_to(place / "secret.csv")
    (folder / "linked" / "c").symlink_to(place)
    return place


@pytest.mark.parametrize("place", [
    "/etc/passwd", "file:///etc/passwd", "{folder}/../../../../etc/passwd", "file://{folder}/%2e%2e/%2e%2e/etc/passwd",
    "file://{folder}/../secret.csv", "{folder}//..//..//secret.csv", "{folder}/link/passwd", "s3://elsewhere/x.csv",
    "http://127.0.0.1/x.csv", "",
    # Signs that a parser of URLs leaves out.
    "file://{folder}/.\t./outside/secret.csv", "file://{folder}/*/.\t./.\t./outside/secret.csv",
    "file://{folder}/*/.\n./.\r./outside/secret.csv", "file://{folder}/*/%2\te%2e/%2e%2\te/outside/secret.csv",
    "file://{folder}/[a-z]*/.\t./.\t./outside/*.csv", "{folder}/*/../../outside/secret.csv",
    "{folder}/\u0000/../outside/secret.csv", "{folder}/*/..\\..\\outside/secret.csv",
    "{folder}/linked/b.csv", "{folder}/linked/c/secret.csv", "{folder}/linked/c",
], ids=ascii)
def test_no_statement_names_a_place_outside(server, settings, outside, place):
    [folder] = settings[""]["locations"]
    name = f"outside_{abs(hash(place))}"
    place = place.format(folder=folder)
    for statement in (
        f"CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION '{place}'",
        f"CALL normalize(source => '{place}', rates => '{folder}/rates', to => 'EUR', output => '{folder}/out')",
        f"CALL normalize(source => '{folder}/raw', rates => '{folder}/rates', to => 'EUR', output => '{place}')",
    ):
        status, text = refusal(server, statement, "ada")
        assert status in ("UNAUTHORIZED", "INVALID_ARGUMENT"), (statement, text)
        assert "root:" not in text and SECRET not in text
    for statement in (f"SELECT * FROM '{place}'", f"SELECT * FROM read_csv('{place}')",
                      f"SELECT * FROM table_at('{place}', '2024-01-01T00:00:00Z')"):
        status, text = refusal(server, statement, "ada")
        assert status in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHORIZED"), (statement, text)


@pytest.mark.parametrize("place", ["{folder}/linked/", "{folder}/linked/*.csv", "{folder}/linked/*/*.csv",
                                   "{folder}/link*/**/*.csv", "file://{folder}/linked/"])
def test_links_inside_a_place_lead_nowhere(server, settings, outside, place):
    [folder] = settings[""]["locations"]
    name = f"linked_{abs(hash(place))}"
    create = f"CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION '{place.format(folder=folder)}'"
    # Refused as a whole, or read without what lies elsewhere.
    for statement in (create, f"SELECT * FROM {name}"):
        try:
            with server.connect("ada") as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                found = cursor.fetchall() if cursor.description else []
        except adbc_driver_manager.Error as error:
            found = str(error)
        assert SECRET not in str(found), found


def test_the_audit_log_tells_who_did_what_and_no_secret(server):
    server.rows("SELECT 42 AS audited", user="oli")
    clusters.wait_until(
        lambda: [entry for entry in server.audit()
                 if entry.get("statement") == "SELECT 42 AS audited" and entry["outcome"] == "ok"],
        "the statement is not in the audit log")
    [entry] = [entry for entry in server.audit() if entry.get("statement") == "SELECT 42 AS audited"]
    assert (entry["user"], entry["action"], entry["rows"]) == ("oli", "select", 1)
    _, text = refusal(server, "DROP TABLE sales", "rea")
    assert grpc_code(text) == "PermissionDenied"
    refused = [entry for entry in server.audit() if entry.get("statement") == "DROP TABLE sales"]
    assert (refused[-1]["user"], refused[-1]["outcome"]) == ("rea", "refused")
    text = (server.folder / "audit.jsonl").read_text() + (server.folder / "serve.log").read_text()
    secrets = [*sql_servers.PASSWORDS.values(), server.token("rea")]
    assert not [secret for secret in secrets if secret in text]
