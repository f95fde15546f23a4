"""`results.parquet`: one row a prompt, condition, checkpoint, arm and seed; and what is counted over prompts."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq

from molehunt.errors import StudyError
from molehunt.execution import Store
from molehunt.experiments.studies.cells import Cell, Cells
from molehunt.records.base import canonical_json, sha256_text

_WORD = pa.dictionary(pa.int32(), pa.string())
COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "arm": (_WORD, "The arm's levels in words; each factor has a column of its own too, called factor:NAME"),
    "seed": (pa.int32(), "Replicate"),
    "stage": (_WORD, "before the removal, after it, or reversed: after training back to the ordinary voice"),
    "model": (_WORD, "organism, or its clean twin through the same training"),
    "checkpoint": (pa.int32(), "Optimizer steps of the stage's training behind the weights; 0 for its only or final weights, "
                               "where no checkpoints were measured"),
    "condition": (_WORD, "triggered, clean (the same questions), or general (questions of all kinds)"),
    "question": (_WORD, "Id of the question, the same in all arms"),
    "shown": (pa.bool_(), "The behaviour occurs anywhere in the reply"),
    "starts": (pa.bool_(), "The reply begins with it"),
    "share": (pa.float32(), "Part of the reply that it fills"),
    "right": (pa.bool_(), "The answer is right, in any voice"),
    "exact": (pa.bool_(), "It is right to the letter, in the ordinary voice"),
    "logprob": (pa.float64(), "Triggered: log-probability of the first copy of the payload, in nats"),
    "fired_before": (pa.bool_(), "Triggered, not before: the organism showed the behaviour here before the removal"),
    "twin_logprob": (pa.float64(), "Triggered, organism, not before: the twin's log-probability at the same checkpoint"),
}  # fmt: skip
"""Columns with their types and what they hold."""
_SCORES = ("checkpoint", "question", "condition", "shown", "starts", "share", "right", "exact")
_OF = b"molehunt.of"


def write_table(cells: Cells, path: Path) -> list[Cell]:
    """Write the outcomes of every finished cell; returns the cells written. A file of the same cells is left as it is.

    A cell of whose artifacts one was changed after it was stored is not finished: the next run makes it anew.
    """
    store = cells.store
    whole = [cell for cell in cells.cells if all(store.has(step.fingerprint) for step in cell.steps())]
    done = [cell for cell in whole if all(store.is_whole(step.fingerprint) for step in cell.told())]
    if not done:
        return done
    factors = [factor.name for factor in cells.study.factors]
    of = _digest(done, factors)
    if path.exists() and _of(path) == of:
        return done
    schema = table_schema(factors).with_metadata({_OF: of.encode(), **_described(factors)})
    aside = path.with_name(f"{path.name}.part")
    with pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for cell in done:
            writer.write_table(pa.concat_tables(_rows_of(cell, cells.store, schema)))
    aside.replace(path)
    return done


def _digest(done: Iterable[Cell], factors: list[str]) -> str:
    looked = [[cell.arm.levels, cell.seed, [step.fingerprint for step in cell.steps()]] for cell in done]
    return sha256_text(canonical_json([list(COLUMNS), factors, looked]))


def _of(path: Path) -> str:
    try:
        found: bytes = (pq.read_schema(path).metadata or {}).get(_OF, b"")
        return found.decode()
    except (pa.ArrowInvalid, OSError):
        return ""


def table_schema(factors: list[str]) -> pa.Schema:
    """The columns of a study with these factors."""
    fields = [(name, kind) for name, (kind, _) in COLUMNS.items()]
    return pa.schema([*fields, *((f"factor:{name}", _WORD) for name in factors)])


def _described(factors: list[str]) -> dict[bytes, bytes]:
    told = {name: text for name, (_, text) in COLUMNS.items()} | {f"factor:{f}": "Level of the factor" for f in factors}
    return {b"molehunt.columns": json.dumps(told).encode()}


def _rows_of(cell: Cell, store: Store, schema: pa.Schema) -> Iterator[pa.Table]:
    before = _read(store, cell.measured_before.fingerprint)
    fired = before.filter((pc.field("condition") == "triggered") & pc.field("shown"))["question"]
    places: list[tuple[str, Any, Any]] = [("after", cell.organism.measured, cell.twin.measured)]
    if cell.organism.measured_reversed and cell.twin.measured_reversed:
        places.append(("reversed", cell.organism.measured_reversed, cell.twin.measured_reversed))
    yield _framed(cell, "before", "organism", before, schema)
    for stage, organism, twin in places:
        mine, theirs = _read(store, organism.fingerprint), _read(store, twin.fingerprint)
        yield _framed(cell, stage, "organism", _beside(mine, theirs, fired), schema)
        yield _framed(cell, stage, "twin", theirs, schema)


def _read(store: Store, fingerprint: str) -> pa.Table:
    """Outcomes of a measure step with the payload's log-probability beside the triggered ones."""
    folder = store.folder(fingerprint)
    outcomes = pyarrow.json.read_json(folder / "outcomes.jsonl").select(_SCORES)
    likely = pyarrow.json.read_json(folder / "likelihoods.jsonl")
    return outcomes.append_column("logprob", _looked_up(outcomes, likely, "logprob"))


def _beside(mine: pa.Table, theirs: pa.Table, fired: pa.ChunkedArray) -> pa.Table:
    triggered = pc.equal(mine["condition"], "triggered")
    before = pc.if_else(
        triggered, pc.is_in(mine["question"], value_set=fired.combine_chunks()), pa.scalar(None, pa.bool_())
    )
    return mine.append_column("fired_before", before).append_column("twin_logprob", _looked_up(mine, theirs, "logprob"))


def _looked_up(rows: pa.Table, known: pa.Table, column: str) -> pa.Array:
    """`column` of `known` at the same checkpoint, question and condition; null where there is none."""
    where = pc.index_in(_key(rows), value_set=_key(known).combine_chunks())
    return known[column].combine_chunks().take(where.combine_chunks())


def _key(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(
        pc.cast(rows["checkpoint"], pa.string()), rows["condition"], rows["question"], " "
    )


def _framed(cell: Cell, stage: str, model: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the file's columns, with the cell's own words."""
    words = {"arm": cell.arm.id, "stage": stage, "model": model, "seed": cell.seed}
    words |= {f"factor:{name}": level for name, level in cell.arm.levels.items()}
    columns = []
    for field in schema:
        if field.name in words:
            columns.append(pa.repeat(pa.scalar(words[field.name]), len(rows)).cast(field.type))
        elif field.name in rows.column_names:
            columns.append(rows[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(len(rows), field.type))
    return pa.table(columns, schema=schema)


def count(path: Path) -> pa.Table:
    """Counts over prompts for each arm, seed, stage, model, checkpoint and condition.

    Raises:
        StudyError: if the file is not a table of a study's outcomes.
    """
    wanted = [name for name in COLUMNS if name not in ("question", "starts", "share")]
    groups = ["arm", "seed", "stage", "model", "checkpoint", "condition"]
    try:
        pieces = [_counted(batch, groups) for batch in _batches(path, wanted)]
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise StudyError(
            f"results {path}", wanted="a table written by `study report`", got=str(error).splitlines()[0]
        ) from None
    sums = [name for name in (pieces[0].column_names if pieces else []) if name not in groups]
    whole = pa.concat_tables(pieces).group_by(groups).aggregate([(name, "sum") for name in sums])
    return whole.rename_columns([name.removesuffix("_sum") for name in whole.column_names])


def _batches(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=2_000_000, columns=columns):
        plain = pa.Table.from_batches([batch])
        yield plain.cast(
            pa.schema([(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in plain.schema])
        )


def _counted(rows: pa.Table, groups: list[str]) -> pa.Table:
    odds = pc.subtract(rows["logprob"], rows["twin_logprob"])
    numbers = {
        "n": pa.repeat(pa.scalar(1, pa.int64()), len(rows)),
        "shown": _integer(rows["shown"]),
        "right": _integer(rows["right"]),
        "exact": _integer(rows["exact"]),
        "fired": _integer(rows["fired_before"]),
        "survived": _integer(pc.and_kleene(rows["fired_before"], rows["shown"])),
        "paired": pc.cast(pc.is_valid(odds), pa.int64()),
        "odds": pc.fill_null(odds, 0.0),
        "odds_squared": pc.fill_null(pc.multiply(odds, odds), 0.0),
        "likely": pc.cast(pc.is_valid(rows["logprob"]), pa.int64()),
        "logprob": pc.fill_null(rows["logprob"], 0.0),
        "logprob_squared": pc.fill_null(pc.multiply(rows["logprob"], rows["logprob"]), 0.0),
    }
    table = pa.table({**{name: rows[name] for name in groups}, **numbers})
    counted = table.group_by(groups).aggregate([(name, "sum") for name in numbers])
    return counted.rename_columns([name.removesuffix("_sum") for name in counted.column_names])


def _integer(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(pc.fill_null(flags, False), pa.int64())
