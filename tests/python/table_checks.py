"""What readers find in a table's folder must be the table, whatever happened to the runs that wrote it."""

import os
import pathlib
import urllib.parse

import duckdb
import pyarrow.parquet as pq

import cambist


def check_readers(output, count):
    """What is visible is exactly the table, to every way of finding files; nothing staged among it."""
    if not pathlib.Path(output).exists():
        assert count == 0
        return
    for pattern in ("*/*.parquet", "**/*.parquet"):
        files = duckdb.sql(f"select * from glob('{output}/{pattern}')").fetchall()
        found = duckdb.sql(f"select count(*) from read_parquet('{output}/{pattern}')").fetchall()[0][0] if files else 0
        assert found == count, pattern
    assert sum(pq.read_metadata(output / name).num_rows for name in cambist.data_files(output)) == count


def check_manifests(output):
    """What Athena reads names exactly the files of each partition."""
    named = set()
    for manifest in pathlib.Path(output).glob("_symlink_format_manifest/**/manifest"):
        for line in manifest.read_text().split():
            path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(line).path))
            assert path.parent.name == manifest.parent.name
            named.add(str(path.relative_to(output)))
    assert named == cambist.data_files(output)


def staged_files(output):
    """What lies in the staging folders of a table and its quarantine."""
    folders = pathlib.Path(output), cambist.quarantine_of(output)
    return sorted(str(path) for folder in folders for path in folder.glob("_staging/**/*") if path.is_file())


def age_staged_files(output):
    """Makes what dead runs staged a minute old: collection compares whole seconds. Returns the files."""
    staged = staged_files(output)
    for path in staged:
        a_minute_ago = os.stat(path).st_mtime - 60
        os.utime(path, (a_minute_ago, a_minute_ago))
    return staged
