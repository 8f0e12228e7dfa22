"""Whether a day's inputs are there: exit 0, or 10 with what is missing."""

import os
import time

import pytest

import cambist
import samples

NOT_READY = 10
DAY = samples.FIRST_DAY


@pytest.fixture
def lake(tmp_path, rates):
    """A day's file and its mark, and twelve days of rates."""
    samples.write_csv(tmp_path / "raw" / f"{DAY}" / "a.csv", samples.transactions(range(5), range(1)))
    (tmp_path / "raw" / f"{DAY}" / "_SUCCESS").touch()
    return tmp_path


def spec(lake, ready=None, **rates):
    """A job's options, as a user would write them."""
    sections = {
        "source": {"url": lake / "raw" / "{date}", "format": "csv"},
        "rates": {"url": lake / "rates"} | rates,
        "target": {"currencies": ["INR", "SGD"]},
    }
    path = lake / "job.toml"
    path.write_text(samples.toml(sections | ({"ready": ready} if ready else {})))
    return path


def ready(path, date=DAY, **options):
    done = cambist.run("ready", "--date", date, "--spec", path, **options)
    if done.code in (cambist.DONE, NOT_READY):
        assert done.summary["ready"] is (done.code == cambist.DONE) and done.summary["date"] == str(date), done
        assert done.summary["ready"] is (not done.summary["missing"]), done
    return done


def missing(done):
    """What a day lacks: the kinds and the details."""
    assert done.code == NOT_READY, done
    assert all(one["detail"] in done.stderr for one in done.summary["missing"]), done
    return [(one["kind"], one["detail"]) for one in done.summary["missing"]]


def test_a_day_with_files_and_rates_is_ready(lake):
    path = spec(lake)
    before = cambist.tree(lake)
    assert ready(path).code == cambist.DONE
    assert cambist.tree(lake) == before, "it reads only"


def test_a_day_without_anything_says_all_that_is_missing(lake):
    done = ready(spec(lake), DAY.replace(year=2012))
    assert [kind for kind, _ in missing(done)] == ["source", "rates"]
    source, rates = done.summary["missing"]
    assert source["place"].endswith("/raw/2012-03-01") and source["detail"] == "nothing is there"
    assert "no snapshot for 2012-03-01, the newest before is of 2011-03-12" in rates["detail"]


def test_every_expected_place_must_hold_something(lake):
    places = [str(lake / "raw" / "{date}" / "_SUCCESS"), str(lake / "raw" / "{yyyy}-{mm}-{dd}" / "*.csv"),
              str(lake / "fees" / "{date}.csv")]
    done = ready(spec(lake, {"expect": places}))
    assert missing(done) == [("source", "nothing is there")]
    assert done.summary["missing"][0]["place"] == str(lake / "fees" / f"{DAY}.csv")
    samples.write_csv(lake / "fees" / f"{DAY}.csv", [])
    assert ready(spec(lake, {"expect": places})).code == cambist.DONE
    (lake / "raw" / f"{DAY}" / "_SUCCESS").unlink()
    assert len(missing(ready(spec(lake, {"expect": places})))) == 1


def test_files_must_have_come_to_rest(lake):
    path = spec(lake, {"quiet_seconds": 3600})
    [(kind, detail)] = missing(ready(path))
    assert kind == "source" and "a.csv" in detail and "3600 s" in detail
    an_hour_ago = time.time() - 3700
    os.utime(lake / "raw" / f"{DAY}" / "a.csv", (an_hour_ago, an_hour_ago))
    assert ready(path).code == cambist.DONE


def test_rates_must_hold_the_currencies_and_be_of_the_day(lake):
    done = ready(spec(lake, {"currencies": ["INR", "USD", "XAU", "GBP"]}))
    [(kind, detail)] = missing(done)
    assert kind == "rates" and done.summary["missing"][0]["currencies"] == ["XAU"] and "has no XAU" in detail
    weekend = DAY.replace(day=14)
    samples.write_csv(lake / "raw" / f"{weekend}" / "a.csv", [])
    assert missing(ready(spec(lake), weekend))[0][0] == "rates"
    assert missing(ready(spec(lake, {"rates_age_days_max": 1}), weekend))[0][0] == "rates"
    assert ready(spec(lake, {"rates_age_days_max": 2}), weekend).code == cambist.DONE


def test_rates_that_are_not_there_yet_are_missing(lake):
    for path in (lake / "rates").iterdir():
        path.unlink()
    assert missing(ready(spec(lake)))[0][0] == "rates"
    (lake / "rates" / f"{DAY}.json").write_text('{"error": true, "status": 401, "message": "invalid_app_id"}')
    assert missing(ready(spec(lake)))[0][0] == "rates"


def test_what_can_never_be_ready_is_an_error(lake):
    for make, words in ((lambda: spec(lake, {"foo": 1}), "foo"), (lambda: spec(lake, mode="nearest"), "rates.mode"),
                        (lambda: spec(lake, {"rates_age_days_max": -1}), "rates_age_days_max"),
                        (lambda: lake / "none.toml", "none.toml")):
        done = ready(make())
        assert done.code == cambist.USAGE and words in done.stderr, done
    done = ready(spec(lake), "2011-02-30")
    assert done.code == cambist.USAGE and "2011-02-30" in done.stderr, done
