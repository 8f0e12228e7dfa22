def test_twenty_million_rows_pass_through(server):
    before = server.memory_peak_kib()
    rows, total = 0, 0
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(BIG)
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            total += pa.compute.sum(batch.column("id")).as_py()
    assert (rows, total) == (MANY_ROWS, MANY_ROWS * (MANY_ROWS - 1) // 2)
    grown = (server.memory_peak_kib() - before) / MEGABYTE
    # The whole result is some 600 MB.
    assert grown < 200, f"the server has grown by {grown:.0f} MiB"


def test_cancel_stops_the_work(server):
    with server.connect() as connection, connection.cursor() as cursor:
        failed = []

        def ask():
            try:
                cursor.execute(ENDLESS)
                cursor.fetchall()
            except adbc_driver_manager.Error as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        clusters.wait_until(lambda: running(server, ENDLESS), "the query does not run")
        cursor.adbc_cancel()
        asking.join(30)
        assert not asking.is_alive() and failed, failed
    clusters.wait_until(lambda: not running(server, ENDLESS), "the query goes on")


def running(server, sql):
    """Whether a statement is at work."""
    states = server.rows("SELECT statement, state FROM system.queries", user="ada")
    return any(statement == sql and state == "running" for statement, state in states)


def test_limits_refuse_at_once(tmp_path, settings):
    limits = settings | {"limits.reader": {"concurrent_queries": 1, "run_seconds": 2, "result_bytes": 1000}}
    with sql_servers.serve(tmp_path / "server", limits) as server:
        status, text = server.refusal(ENDLESS)
        assert status in ("TIMEOUT", "CANCELLED"), text
        status, text = server.refusal("SELECT * FROM generate_series(1, 100000)")
        assert "1000" in text, text
        with server.connect() as connection, connection.cursor() as cursor:
            asking = threading.Thread(target=lambda: pytest.raises(adbc_driver_manager.Error, ask, cursor))
            asking.start()
            clusters.wait_until(lambda: running(server, ENDLESS), "the query does not run")
            status, text = server.refusal("SELECT 1")
            assert "RESOURCE_EXHAUSTED" in text or "ResourceExhausted" in text, text
            asking.join(30)
        assert server.rows("SELECT 1") == [(1,)]


def ask(cursor):
    cursor.execute(ENDLESS)
    cursor.fetchall()


def test_sixty_four_clients_at_once(server):
    failed, barrier = [], threading.Barrier(64)
    asked = ("SELECT count(*) FROM payments", "SELECT sum(amount_eur) FROM sales", "SELECT 1",
             "SELECT fx_convert(amount, currency, day, 'EUR') FROM payments")

    def client(number):
        try:
            with server.connect() as connection:
                barrier.wait(60)
                for turn in range(4):
                    with connection.cursor() as cursor:
                        cursor.execute(asked[(number + turn) % len(asked)])
                        cursor.fetchall()
        except Exception as error:
            failed.append(error)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    for each in clients:
        each.start()
    for each in clients:
        each.join(120)
    assert not failed, failed[:3]
    assert not any(each.is_alive() for each in clients)


