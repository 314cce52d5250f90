"""The journal tells the next run which songs are done, however this run ended, and allows one run at a time."""

import json
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge.render.batch.journal import Journal, Key, canonical, state_folder
from stembridge.render.report.results import SongReport
from stembridge.render.song.level import Level
from stembridge.render.storage import Seen

SONG = Seen(1000, "12345", "ab" * 32)
OUTPUT = Seen(500, "67890", "cd" * 32)
SETTINGS = canonical({"job": "remix", "gains_db": {"vocals": -80.0}})
KEY = Key("/music/a.flac", "a.flac", SETTINGS)
OTHER = Key("/music/b.flac", "b.flac", SETTINGS)
REPORT = SongReport(
    "a.flac", ("out/a.flac",), "done", "", 12.5, 1.25, Level(-14.0, -1.5), (Level(-15.0, -2.0, -1.75),), ("loud",)
)


def write_down(journal, key=KEY, outputs=("a.flac",), number=1):
    journal.claim(key, number, outputs)
    written = dict.fromkeys(outputs, OUTPUT)
    journal.done(key, REPORT, None, song=SONG, outputs=written)


def test_finished_songs_are_known_to_the_next_run(tmp_path):
    with Journal(str(tmp_path)) as journal:
        write_down(journal, number=2)
        here = journal.entries[KEY]
    with Journal(str(tmp_path)) as journal:
        assert journal.entries == {KEY: here}
        assert here.song == SONG
        assert (here.outputs, here.number, here.claimed) == ({"a.flac": OUTPUT}, 2, ())
        assert journal.owned == {"a.flac": (KEY, OUTPUT)}
        assert journal.report(here) == REPORT
        assert journal.overview(here) is None


def test_unfinished_outputs_are_owned_whatever_their_size(tmp_path):
    with Journal(str(tmp_path)) as journal:
        journal.claim(KEY, 1, ["a.flac"])
        journal.claim(OTHER, 1, ["b.flac"])
        journal.failed(OTHER, "no audio")
    with Journal(str(tmp_path)) as journal:
        assert journal.owned == {"a.flac": (KEY, None)}
        write_down(journal)
    with Journal(str(tmp_path)) as journal:
        assert journal.owned == {"a.flac": (KEY, OUTPUT)}
        journal.claim(KEY, 1, ["a.flac"])
        journal.failed(KEY, "it has changed to its disadvantage")
    with Journal(str(tmp_path)) as journal:
        assert journal.owned == {"a.flac": (KEY, OUTPUT)}, "a failure takes nothing away"


def test_a_name_belongs_to_the_last_work_that_used_it(tmp_path):
    stopped, other, third = KEY, KEY._replace(settings="{}"), KEY._replace(settings='{"job":"separate"}')
    with Journal(str(tmp_path)) as journal:
        journal.claim(stopped, 1, ["a.flac", "b.flac"])  # and then it was killed
        write_down(journal, other)
        journal.claim(third, 1, ["a.flac"])
        journal.failed(third, "no audio")
    with Journal(str(tmp_path)) as journal:
        assert journal.owned == {"a.flac": (other, OUTPUT), "b.flac": (stopped, None)}
        journal.claim(stopped, 2, ["a (2).flac"])
        journal.claim(third, 1, ["b.flac"])
        journal.failed(stopped, "no audio")
    with Journal(str(tmp_path)) as journal:
        assert journal.owned == {"a.flac": (other, OUTPUT), "b.flac": (third, None)}


def test_an_output_that_is_no_longer_made_stays_owned(tmp_path):
    with Journal(str(tmp_path)) as journal:
        write_down(journal, outputs=("vocals.wav", "drums.wav"))
        write_down(journal, outputs=("vocals.wav",))
    with Journal(str(tmp_path)) as journal:
        assert set(journal.owned) == {"vocals.wav", "drums.wav"}
        assert set(journal.entries[KEY].outputs) == {"vocals.wav"}


@given(st.data())
@settings(max_examples=50)
def test_a_journal_truncated_anywhere_is_read_and_can_go_on(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("out")
    with Journal(str(folder)) as journal:
        for number in range(3):
            write_down(journal, Key(f"/{number}", f"{number}", SETTINGS), (f"{number}",))
    path = state_folder(str(folder)) / "journal.jsonl"
    whole = path.read_bytes()
    cut = data.draw(st.integers(1, len(whole)))
    path.write_bytes(whole[:cut])
    done = [line["song"] for line in map(json.loads, whole[:cut].split(b"\n")[:-1]) if line["outcome"] == "done"]
    with Journal(str(folder)) as journal:
        assert [key.song for key, entry in journal.entries.items() if entry.offset is not None] == done
        write_down(journal, Key("/new", "new", SETTINGS), ("new",))
        assert journal.report(journal.entries[Key("/new", "new", SETTINGS)]) == REPORT
    with Journal(str(folder)) as journal:
        assert journal.report(journal.entries[Key("/new", "new", SETTINGS)]) == REPORT
        assert [key.song for key, entry in journal.entries.items() if entry.offset is not None] == [*done, "/new"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_rubbish_in_the_middle_loses_only_its_own_lines(tmp_path):
    with Journal(str(tmp_path)) as journal:
        write_down(journal)
    path = state_folder(str(tmp_path)) / "journal.jsonl"
    rubbish = b'\x00\xff\n{"song": 1}\n[]\n"text"\n{"song": "/x", "base": "x", "outcome": "done"}\n'
    rubbish += b"[" * 10000 + b"\n"
    rubbish += b'{"song": "/x", "base": "x", "outcome": "done", "size": 1, "stamp": "", "sha256": "", "settings": {},'
    rubbish += b' "outputs": [[1, 2]]}\n'
    path.write_bytes(rubbish + path.read_bytes() + rubbish)
    with Journal(str(tmp_path)) as journal:
        assert journal.report(journal.entries[KEY]) == REPORT
        assert journal.owned == {"a.flac": (KEY, OUTPUT)}


def test_a_full_disk(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    with Journal(str(tmp_path)) as journal:
        monkeypatch.setattr("stembridge.render.batch.journal.os.fsync", full)
        with pytest.raises(OSError, match=r"cannot write .*journal\.jsonl: No space left on device; make room"):
            journal.claim(KEY, 1, ["a.flac"])


def test_a_second_run_is_refused_while_the_first_works(tmp_path):
    with Journal(str(tmp_path)) as journal:
        with (
            pytest.raises(OSError, match=r"another run works in .*; wait until it ends") as caught,
            Journal(str(tmp_path)),
        ):
            pass
        assert "\n" not in str(caught.value)
        assert journal.scratch.exists(), "and takes nothing from it"
        with Journal(str(tmp_path), read_only=True) as other:
            assert other.entries == {}
    with Journal(str(tmp_path)):
        pass


HOLD = """
import sys, time
from stembridge.render.batch.journal import Journal, Key, canonical
key = Key("/music/a.flac", "a.flac", canonical({"job": "remix", "gains_db": {"vocals": -80.0}}))
with Journal(sys.argv[1]) as journal:
    journal.claim(key, 1, ["a.flac"])
    (journal.scratch / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_lock_and_its_temporary_files_are_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(OSError, match="another run"), Journal(str(tmp_path)):
            pass
        process.kill()
    assert list(tmp_path.rglob("half"))
    with Journal(str(tmp_path)) as journal:
        assert not list(tmp_path.rglob("half"))
        assert journal.entries[KEY].claimed == ("a.flac",)


def test_a_run_that_did_nothing_leaves_nothing(tmp_path):
    with Journal(str(tmp_path / "a" / "out")):
        assert (tmp_path / "a" / "out").is_dir()
    assert not (tmp_path / "a" / "out").exists()
    (tmp_path / "mine").mkdir()
    with Journal(str(tmp_path / "mine")):
        pass
    assert list((tmp_path / "mine").iterdir()) == []


def test_reading_writes_nothing(tmp_path):
    with Journal(str(tmp_path / "out"), read_only=True) as journal:
        assert journal.entries == {}
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"cannot write in the folder .*choose another folder"),
        Journal(f"{tmp_path}/file/x"),
    ):
        pass


def test_the_pictures_of_many_songs_stay_on_the_disk(tmp_path):
    picture = {"data": "x" * 30_000}
    with Journal(str(tmp_path)) as journal:
        for number in range(200):
            key = Key(f"/{number}", f"{number}", SETTINGS)
            journal.done(key, REPORT, picture, song=SONG, outputs={f"{number}": OUTPUT})
    tracemalloc.start()
    with Journal(str(tmp_path)) as journal:
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(journal.entries) == 200
        assert size < 200 * 10_000, "a picture is longer"


def test_the_journal_of_a_url_is_in_the_users_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder("s3://bucket/out").is_relative_to(tmp_path)
    assert state_folder("s3://bucket/out") == state_folder("s3://bucket/out/")
    assert state_folder("s3://bucket/out") != state_folder("s3://bucket/out2")
    assert state_folder("out").parts == ("out", ".stembridge")
