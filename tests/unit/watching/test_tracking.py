"""Lists of recordings that are processed, as datacrunch kept them."""

from __future__ import annotations

import tomllib

import pytest
from watched import Watched

from reelarray.sinks.journal import read_records


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    made.options["tracking"] = str(tmp_path / "deep" / "processed.toml")
    yield made
    if made.service is not None:
        made.stop()


def test_a_list_is_taken_over_once_and_kept_up_to_date(watched, tmp_path, caplog):
    caplog.set_level("INFO")
    done, failed = watched.put("done.rec"), watched.put("failed.rec")
    (watched.output / "done.rec.out").write_bytes(b"by another program")
    path = tmp_path / "deep" / "processed.toml"
    path.parent.mkdir()
    path.write_text(f'version = 3\nprocessed = ["{done}", "{failed}", "/gone/x.rec"]\n[other]\nwhen = 2014-08-01\n')
    watched.start()
    assert "lists 3 recordings: of 1 the outputs are there" in caplog.text
    watched.put("new.rec")
    watched.go(50)
    assert watched.process.names == ["failed.rec", "new.rec"]
    assert len(tomllib.loads(path.read_text())["processed"]) == 3, "not more than once a minute"
    watched.go(80)
    found = tomllib.loads(path.read_text())
    assert found["processed"] == ["/gone/x.rec", str(done), str(failed), str(watched.folder / "new.rec")]
    assert (found["version"], str(found["other"]["when"])) == (3, "2014-08-01")
    origins = {r["done"]: r.get("origin") for r in read_records(tmp_path / "state") if "done" in r}
    assert origins == {"done.rec": "datacrunch", "failed.rec": None, "new.rec": None}

    (watched.output / "new.rec.out").unlink()
    watched.again()
    assert caplog.text.count("lists 3 recordings") == 1
    assert watched.go(20).done == 3
    assert watched.process.names == ["failed.rec", "new.rec", "new.rec"]
    assert tomllib.loads(path.read_text())["processed"] == found["processed"]


def test_one_that_failed_is_not_exported(watched, tmp_path):
    def trouble(found):
        raise ValueError("no")

    watched.put("a.rec")
    watched.process.trouble = trouble
    watched.start()
    watched.go(20)
    watched.stop()
    assert tomllib.loads((tmp_path / "deep" / "processed.toml").read_text())["processed"] == []
    watched.service = None


@pytest.mark.parametrize("text", ["", "processed = [", "processed = 3", 'processed = [1, "a"]', "\x00\xff"])
def test_a_broken_list_is_kept_and_the_start_goes_on(watched, tmp_path, text, caplog):
    path = tmp_path / "deep" / "processed.toml"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    watched.put("a.rec")
    watched.start()
    assert watched.go(20).done == 1
    assert path.with_name("processed.toml.bad").read_bytes() == text.encode("latin-1")
    assert "is kept as" in caplog.text
    watched.stop()
    watched.service = None
    assert tomllib.loads(path.read_text()) == {"processed": [str(watched.folder / "a.rec")]}


def test_without_a_list_one_is_begun(watched, tmp_path):
    watched.put("a.rec")
    watched.start()
    watched.go(100)
    assert tomllib.loads((tmp_path / "deep" / "processed.toml").read_text()) == {
        "processed": [str(watched.folder / "a.rec")]
    }
