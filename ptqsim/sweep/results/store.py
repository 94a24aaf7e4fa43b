"""Results in one SQLite file: a row per point, written by one process, read by any while it is written.

SQLite because its files survive a killed writer and a full disk, and others may read while one writes: ``--status`` and
a report don't wait for the end of a study.  It keeps a rollback journal and no write-ahead log, as the latter is not
for the network file systems of clusters.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from ptqsim.sweep.results import schema

_FULL: Final = ("database or disk is full", "disk I/O error")


class StoreFullError(OSError):
    """The disk of the store is full: what was committed stays."""


class ResultStore:
    """The results of a study.

    Parameters
    ----------
    path : Path
        Made if it isn't there; removed again if it is closed before anything is to be written.
    write : bool
        Be the one process that writes.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    ValueError
        If it is no store, damaged, one of another version, or another process writes to it. The same where a method
        finds it damaged.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None
        self._is_new = False
        lock_is_new = write and not _lock_of(path).exists()
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path)
        elif not path.is_file():
            raise FileNotFoundError(f"there are no results at {path}: run ptqsim sweep on the study first")
        self._database = sqlite3.connect(path if write else f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)
        self._database.row_factory = sqlite3.Row
        try:
            self._check(write)
        except BaseException:
            self.close()
            if lock_is_new:
                _lock_of(path).unlink(missing_ok=True)
            raise

    def _check(self, write: bool) -> None:
        """Refuse what is no whole store; an empty file, if it is to be written, becomes one."""
        try:
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} holds no results of ptqsim sweep ({error}): name another store") from None
        if write and found == tables == 0:
            with _told(self.path):
                self._database.executescript(schema.CREATE)
            self._is_new = True
            return
        if found != schema.VERSION and found not in schema.ADDED:
            what = f"has version {found}" if found else "is no store of ptqsim sweep"
            raise ValueError(f"{self.path} {what}, this ptqsim reads {schema.VERSION}: name another store")
        with _told(self.path):
            state = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
            added = schema.ADDED.get(found, {})
            for table, columns in schema.COLUMNS.items():
                there = {row["name"] for row in self._database.execute(f"PRAGMA table_info({table})")}
                there |= added.get(table, {}).keys()
                if state == "ok" and (lacking := [name for name in columns if name not in there]):
                    state = f"table {table} has no column {lacking[0]}"
        if state != "ok":
            raise damaged(self.path, state)
        if write and added:
            with _told(self.path):
                self._database.executescript(schema.upgrade(found))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(AttributeError):
            self._database.close()
        if self._is_new:
            self.path.unlink(missing_ok=True)
            _lock_of(self.path).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def plan(self, study: str, text: str, provenance: Mapping[str, Any], keys: Iterable[tuple[str, str]]) -> int:
        """Say what is to be done: pairs of kind and key.  Earlier plans are forgotten, results are not.

        Returns
        -------
        int
            Number under which the provenance is kept.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM planned")
            database.execute("DELETE FROM studies")
            database.execute("INSERT INTO studies VALUES (?, ?)", (study, text))
            database.executemany("INSERT OR IGNORE INTO planned VALUES (?, ?)", keys)
            document = json.dumps(provenance, sort_keys=True)
            database.execute("INSERT OR IGNORE INTO provenance (document) VALUES (?)", (document,))
            (number,) = database.execute("SELECT id FROM provenance WHERE document = ?", (document,)).fetchone()
        return int(number)

    def add_to_plan(self, keys: Iterable[tuple[str, str]]) -> None:
        """More to be done: what a question asks for on its way."""
        keys = list(keys)
        if not keys:
            return
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO planned VALUES (?, ?)", keys)

    def record(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep results in one transaction: all of them, or none.

        A row that failed may be replaced; one that is done stays as it is, and an equal one is no second row.

        Raises
        ------
        StoreFullError
            If the disk is full.
        RuntimeError
            If a result that is there differs from one that comes: equal work has to give equal bits.
        """
        columns = schema.COLUMNS[table]
        if not rows:
            return
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join("?" * len(columns))
        update = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name != "key")
        statement = (
            f"INSERT INTO {table} ({names}) VALUES ({places}) "
            f"ON CONFLICT (key) DO UPDATE SET {update} WHERE {table}.status = 'failed'"
        )
        with self._transaction() as database:
            self._refuse_contradictions(table, rows)
            database.executemany(statement, [[_cell(row.get(name)) for name in columns] for row in rows])

    def _refuse_contradictions(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if table != "points":
            return
        for row in rows:
            kept = self._database.execute(
                "SELECT logits_sha256 FROM points WHERE key = ? AND status = 'done'", (row["key"],)
            ).fetchone()
            if kept is not None and row["status"] == "done" and kept[0] != row["logits_sha256"]:
                raise RuntimeError(
                    f"point {row['key'][:12]} was computed twice with different results: a machine, or an "
                    "installation, computes other bits than the rest"
                )

    def statuses(self, table: str) -> dict[str, str]:
        """Status of everything that is there, by key."""
        with _told(self.path):
            return dict(self._database.execute(f"SELECT key, status FROM {table}").fetchall())

    def row(self, table: str, key: str) -> dict[str, Any] | None:
        """One row; cells of several values are read back."""
        with _told(self.path):
            found = self._database.execute(f"SELECT * FROM {table} WHERE key = ?", (key,)).fetchone()
            return None if found is None else _read(found)

    def parts(self, point: str) -> list[dict[str, Any]]:
        """Stored parts of a point."""
        with _told(self.path):
            return [_read(row) for row in self._database.execute("SELECT * FROM parts WHERE point = ?", (point,))]

    def rows(self, table: str, planned: bool = True) -> Iterator[dict[str, Any]]:
        """The rows of what is planned, or all, in the order of the plan."""
        query = f"SELECT t.* FROM {table} t"
        query += " JOIN planned p ON p.key = t.key ORDER BY p.rowid" if planned else " ORDER BY t.rowid"
        empty = dict.fromkeys(schema.COLUMNS[table])  # a store of an earlier version has not all of them
        with _told(self.path):
            yield from (empty | _read(row) for row in self._database.execute(query))

    def provenance(self, number: int) -> dict[str, Any]:
        """Provenance of results."""
        with _told(self.path):
            row = self._database.execute("SELECT document FROM provenance WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise damaged(self.path, f"it has no provenance {number}")
            found: dict[str, Any] = json.loads(row[0])
            return found

    def study(self) -> tuple[str, str]:
        """Name and text of the study that was planned last."""
        with _told(self.path):
            found = self._database.execute("SELECT name, text FROM studies").fetchone()
        return ("", "") if found is None else (found[0], found[1])

    def counts(self) -> dict[str, dict[str, int]]:
        """For each kind how many are planned, done, trapped, failed and missing."""
        result = {}
        for kind, table in schema.TABLE_OF.items():
            query = (
                "SELECT coalesce(t.status, 'missing'), count(*) "
                f"FROM planned p LEFT JOIN {table} t ON t.key = p.key WHERE p.kind = ? GROUP BY 1"
            )
            with _told(self.path):
                found = dict(self._database.execute(query, (kind,)).fetchall())
            result[kind] = {"planned": sum(found.values())} | {
                status: int(found.get(status, 0)) for status in ("done", "trapped", "failed", "missing")
            }
        return result

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._is_new = False
        with _told(self.path), self._database:
            yield self._database


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) in _FULL:
            raise StoreFullError(
                f"the disk of {path} is full ({error}); what was kept stays: free some space, and the same command "
                "goes on"
            ) from None
        if "locked" in str(error):
            raise ValueError(f"{path} is locked by another program ({error}): try again when it is done") from None
        raise damaged(path, error) from None
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, reason: object) -> ValueError:
    """The error for a store with something in it that no run of a study leaves."""
    return ValueError(
        f"{path} is damaged ({reason}): put a copy of it in its place, or move it away and run ptqsim sweep again"
    )


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _locked(path: Path) -> IO[bytes]:
    """A lock that ends with the process."""
    lock = _lock_of(path).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ValueError(
            f"another ptqsim sweep writes to {path}: wait for it, or look with --status, which doesn't write"
        ) from None
    return lock


def _cell(value: object) -> object:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list | tuple) else value


def _read(row: sqlite3.Row) -> dict[str, Any]:
    return {
        name: json.loads(row[name]) if name in schema.DOCUMENTS and row[name] is not None else row[name]
        for name in row.keys()  # noqa: SIM118 - not a mapping
    }
