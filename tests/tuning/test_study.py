"""The study of a search on the disk: continued after a kill, and refused in one line when it is damaged."""

from __future__ import annotations

import contextlib
import random
import sqlite3

import optuna
import pytest
import sqlalchemy

from charlstm.config import RunConfig
from charlstm.errors import CorruptError
from charlstm.tuning import space
from charlstm.tuning.events import Trial
from charlstm.tuning.identity import SearchIdentity
from charlstm.tuning.study import open_study
from tests.networks import architecture

IDENTITY = SearchIdentity(
    text="0" * 64,
    given={},
    seed=1,
    trial_time=1.0,
    jobs=1,
    defaults=RunConfig(name="x", model=architecture(vocab_size=5)).to_plain(),
)
STATES = ("finished", "failed", "pruned", "interrupted", "finished", "finished", "finished")


@pytest.fixture(autouse=True)
def _quick_commits():
    """No flush to the disk at each of some thousand commits."""

    def switch_off(connection, record):
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", switch_off)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", switch_off)


@pytest.fixture
def path(tmp_path):
    """The study of a search that was killed in its eighth trial."""
    path = tmp_path / "study.sqlite"
    with open_study(path, IDENTITY) as study:
        study.requeue_unfinished()
        for number, state in enumerate(STATES):
            asked, settings = study.ask()
            assert asked == number
            study.is_hopeless(number, 2.0 + number, 0.5)
            study.record(Trial(number, state, 2.0 + number, 3.0, 1.0, settings, {}, "bad" * (state == "failed")))
        study.seconds_spent = 7.0
        study.ask()
    return path


def use(path):
    """What a search does with its study."""
    with open_study(path, IDENTITY) as study:
        study.requeue_unfinished()
        study.best()
        number, _ = study.ask()
        study.is_hopeless(number, 3.0, 0.6)


def test_all_is_stored(path):
    with open_study(path, IDENTITY) as study:
        trials = study.trials()
        assert (study.identity.run, study.identity.seed) == (IDENTITY.run, IDENTITY.seed)
        assert study.seconds_spent == 7.0
        assert [trial.state for trial in trials] == list(STATES)
        assert [(trial.number, trial.loss, trial.reason) for trial in trials[:2]] == [(0, 2.0, ""), (1, 3.0, "bad")]
        assert trials[0].changed == {}
        assert trials[1].changed.items() <= trials[1].settings.items()
        assert study.best() == trials[0]


def test_what_a_kill_cut_off_is_tried_again_first(path):
    with open_study(path, IDENTITY) as study:
        interrupted = study.trials()[3].settings
        study.requeue_unfinished()
        assert study.ask()[1] != interrupted, "that one was tried again before the kill"
        assert [trial.state for trial in study.trials()] == [*STATES, "interrupted"]


def test_a_default_that_was_killed_before_it_began_is_still_the_first(tmp_path):
    path = tmp_path / "study.sqlite"
    with open_study(path, IDENTITY) as study:
        study.requeue_unfinished()
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    killed = optuna.load_study(study_name="charlstm", storage=storage).ask()  # before any setting was drawn
    storage.engine.dispose()
    with open_study(path, IDENTITY) as study:
        study.requeue_unfinished()
        number, settings = study.ask()
        assert number == killed.number + 1
        assert space.changed(study.space, settings) == {}


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "tables without a study"])
def test_a_file_that_a_kill_left_half_made_is_begun_again(path, content):
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            for table in set(tables) - {"version_info", "alembic_version"}:
                database.execute(f"DELETE FROM {table}")
            database.execute("DROP TABLE trial_intermediate_values")
            database.commit()
    else:
        path.write_bytes(content)
    with open_study(path, IDENTITY) as study:
        assert study.trials() == []
    use(path)


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "study.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (a)")
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="cannot be continued"):
        use(path)
    assert path.read_bytes() == before


# ---- damage -------------------------------------------------------------------------------------------------------


def truncate(path, draw):
    path.write_bytes(path.read_bytes()[: draw.randrange(1, path.stat().st_size)])


def change_bytes(path, draw):
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 5, 50])):
        data[draw.randrange(len(data))] = draw.randrange(256)
    path.write_bytes(data)


def overwrite(path, draw):
    data = bytearray(path.read_bytes())
    start, length = draw.randrange(len(data)), draw.choice([16, 512, 4096])
    data[start : start + length] = draw.randbytes(len(data[start : start + length]))
    path.write_bytes(data)


def change_tables(path, draw):
    with contextlib.closing(sqlite3.connect(path)) as database:
        table = draw.choice([name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")])
        column = draw.choice([row[1] for row in database.execute(f"PRAGMA table_info({table})")])
        value = draw.choice(["", "x", "null", "NaN", "1e999", "[]", "[[[", '{"name": 3}', -1, 7, 2.5, 1e300, b"\xff"])
        statement, *values = draw.choice(
            [
                [f"DROP TABLE {table}"],
                [f'ALTER TABLE {table} RENAME COLUMN "{column}" TO other'],
                [f"DELETE FROM {table} WHERE rowid % 2"],
                [f'UPDATE {table} SET "{column}" = ? WHERE rowid % 2', value],
            ]
        )
        with contextlib.suppress(sqlite3.IntegrityError):  # this damage SQLite prevents itself
            database.execute(statement, values)
        database.commit()


def nullify(path, draw):
    """Put NULL into a column, also where optuna's schema allows none."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table'")
        database.commit()
    with contextlib.closing(sqlite3.connect(path)) as database:
        table = draw.choice([name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")])
        column = draw.choice(
            [row[1] for row in database.execute(f"PRAGMA table_info({table})") if not row[5]] or [None]
        )
        if column is not None:
            database.execute(f'UPDATE {table} SET "{column}" = NULL WHERE rowid % ?', [draw.choice([2, 3, 5])])
            database.commit()


def drop_constraints(path, draw):
    with contextlib.closing(sqlite3.connect(path)) as database:
        table = draw.choice([name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")])
        database.executescript(
            f"CREATE TABLE other AS SELECT * FROM {table}; DROP TABLE {table}; ALTER TABLE other RENAME TO {table};"
        )


@pytest.mark.parametrize("times", [10, pytest.param(34, marks=pytest.mark.slow)])
@pytest.mark.parametrize("damage", [truncate, change_bytes, overwrite, change_tables, nullify, drop_constraints])
def test_damage_is_one_line_or_harmless(path, damage, times):
    whole, draw, errors = path.read_bytes(), random.Random(damage.__name__), []
    for _ in range(times):
        path.write_bytes(whole)
        path.with_name("study.sqlite-journal").unlink(missing_ok=True)
        damage(path, draw)
        try:
            use(path)
        except CorruptError as error:
            errors.append(error)
    assert len(errors) > 10 * times // 34, "damage is found"
    for error in errors:
        assert error.exit_code == 3
        assert str(path) in str(error)
        assert "\n" not in str(error)


def test_a_value_out_of_range_is_found(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE trial_params SET param_value = 50 WHERE param_name = 'hidden_size'")
        database.commit()
    with pytest.raises(CorruptError):
        use(path)
