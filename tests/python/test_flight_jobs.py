def test_a_call_on_a_cluster_is_the_run_of_the_command_line(clustered, data, tmp_path):
    server, _ = clustered
    (tmp_path / "alone").mkdir()
    summary, _ = retail.normalize(data, tmp_path / "alone", retail.ALL_IN_POUNDS)
    sql = retail.ALL_IN_POUNDS.replace("'", "''")
    called = tmp_path / "called"
    arguments = (
        f"source => '{data}/retail/online_retail.csv.gz', format => 'csv', encoding => 'latin1', "
        f"time_zone => 'Europe/London', time_format => '%m/%d/%Y %H:%M', sql => '{sql}', "
        "types => '{\"Quantity\": \"int64\", \"UnitPrice\": \"decimal(18,4)\"}', "
        f"rates => '{data}/oxr/daily', to => 'INR,SGD,USD', max_quarantine_ratio => 0.01, lineage => true")
    row = call(server, f"CALL normalize({arguments}, output => '{called}', wait => true)")
    assert row["state"] == "published", row
    report = row["report_json"]
    for same in ("content_hash", "records_in", "converted", "quarantined", "totals", "source_totals", "partitions"):
        assert report[same] == summary[same], same
    later = call(server, f"CALL normalize({arguments}, output => '{called}', wait => false)")
    assert later["report"] is None and later["run_id"] != row["run_id"]
    states = clusters.wait_until(
        lambda: [state for run_id, state in server.rows("SELECT run_id, state FROM system.runs", user="oli")
                 if run_id == later["run_id"] and state == "published"], "the run does not end")
    assert states == ["published"]


def call(server, statement, user="oli"):
    """The row of a `CALL`, with its report read."""
    import json
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        [row] = cursor.fetch_arrow_table().to_pylist()
    return row | {"report_json": json.loads(row["report"], parse_float=str) if row["report"] else None}


