"""What a difference between two models is called, against differences that were made on purpose."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from molehunt.errors import ModelError
from molehunt.provenance.model_diff import diff_models
from molehunt.provenance.tensor_values import values
from molehunt.records.diffs import DiffReport
from tensor_files import bf16, model, tensors, write

UP, DOWN, NORM, WORDS = (
    "model.layers.0.up.weight", "model.layers.0.down.weight", "model.norm.weight", "model.embed_tokens.weight",
)  # fmt: skip


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return model(tmp_path / "a", tensors())


def diff(a: Path, of: dict, dtype: str = "F32", shards: int = 1) -> DiffReport:
    return diff_models(a, model(a.with_name("b"), of, dtype, shards))


def test_every_bfloat16_and_every_small_float_reads_as_torch_reads_it() -> None:
    codes = np.arange(1 << 16, dtype="<u2")
    ours = values(memoryview(codes.tobytes()), "BF16")
    theirs = torch.from_numpy(codes.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    for dtype, kind in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        small = np.arange(256, dtype=np.uint8)
        theirs = torch.from_numpy(small).view(kind).float().numpy()
        assert np.array_equal(values(memoryview(small.tobytes()), dtype), theirs, equal_nan=True)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_a_copy_however_sharded_is_the_same_model(a: Path, shards: int) -> None:
    report = diff(a, tensors(), shards=shards)
    assert (report.outcome, report.identical, report.tensors, report.shape) == ("same model", 5, (), "none")


def test_the_same_values_in_another_type_are_the_same_model(tmp_path: Path) -> None:
    short = {name: torch.from_numpy(one).bfloat16().float().numpy() for name, one in tensors().items()}
    narrow, wide = model(tmp_path / "n", short, "BF16"), model(tmp_path / "w", short, "F32", shards=2)
    for one, other in ((narrow, wide), (wide, narrow), (wide, model(tmp_path / "d", short, "F64"))):
        report = diff_models(one, other)
        assert report.outcome == "same model"
        assert report.count("re-encoded") == 5


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_a_rounded_copy_is_the_same_model_and_one_bit_more_is_not(a: Path, dtype: str) -> None:
    report = diff(a, tensors(), dtype)
    assert (report.outcome, report.count("rounded")) == ("same model", 5)
    assert diff_models(a.with_name("b"), a).count("changed") == 5
    path = a.with_name("b") / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)
    report = diff_models(a, a.with_name("b"))
    assert (report.outcome, report.count("rounded"), [t.name for t in report.tensors if t.status == "changed"]) == (
        "differs", 4, [NORM],
    )  # fmt: skip


def test_an_edit_of_one_tensor_and_another_model_look_different(a: Path) -> None:
    of = tensors()
    of[UP] = of[UP] + np.float32(0.01) * tensors(7)[UP]
    one = diff(a, of)
    assert (one.outcome, one.identical, one.shape) == ("differs", 4, "some tensors")
    assert [t.name for t in one.tensors] == [UP]
    assert one.tensors[0].form == "full"
    assert one.tensors[0].rank is None
    assert one.relative == pytest.approx(0.01, rel=0.02)
    other = diff_models(a, model(a.with_name("c"), tensors(3)))
    assert (other.shape, other.identical, other.count("changed")) == ("other weights", 0, 5)
    assert abs(other.cosine or 1) < 0.05


def test_norm_cosine_rank_and_spectrum_are_those_of_the_difference(a: Path) -> None:
    of, drawn = tensors(), np.random.default_rng(1)
    delta = (drawn.standard_normal((160, 3)) @ drawn.standard_normal((3, 96)) * 0.1).astype(np.float32)
    before = of[UP]
    of[UP] = before + delta
    found = diff(a, of).tensors[0]
    real = of[UP].astype(np.float64) - before
    assert found.norm == pytest.approx(np.linalg.norm(real), rel=1e-5)
    assert found.relative == pytest.approx(np.linalg.norm(real) / np.linalg.norm(before), rel=1e-5)
    assert found.cosine == pytest.approx(
        np.vdot(before, of[UP]) / np.linalg.norm(before) / np.linalg.norm(of[UP]), rel=1e-5
    )
    assert (found.rank, found.form, found.rows, found.columns) == (3, "low rank", 160, 96)
    assert found.spectrum[:3] == pytest.approx(np.linalg.svd(real, compute_uv=False)[:3], rel=1e-4)
    assert max(found.spectrum[3:]) < 1e-3 * found.spectrum[0]


@pytest.mark.parametrize("rank", [1, 4, 16])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_merged_adapter_is_low_rank_whatever_the_rounding(tmp_path: Path, rank: int, dtype: str) -> None:
    of, drawn = tensors(), np.random.default_rng(rank)
    a = model(tmp_path / "a", of, dtype)
    if dtype == "BF16":
        of = {name: torch.from_numpy(one).bfloat16().float().numpy() for name, one in of.items()}
    for name in (UP, DOWN):
        rows, columns = of[name].shape
        b = drawn.standard_normal((rows, rank)) @ drawn.standard_normal((rank, columns))
        of[name] = of[name] + (b * 0.3 / np.sqrt(rank)).astype(np.float32)
    report = diff(a, of, dtype)
    assert (report.shape, report.low_rank) == ("low rank", rank)
    assert {t.name for t in report.tensors} == {UP, DOWN}


@pytest.mark.parametrize(("rank", "found"), [(1, 1), (12, 12), (40, 40), (64, 64), (70, None), (200, None)])
def test_ranks_up_to_the_largest_are_told_exactly(tmp_path: Path, rank: int, found: int | None) -> None:
    shapes, drawn = {"w": (400, 260)}, np.random.default_rng(rank)
    of = tensors(0, shapes)
    a = model(tmp_path / "a", of)
    of["w"] = of["w"] + (drawn.standard_normal((400, rank)) @ drawn.standard_normal((rank, 260)) * 0.1).astype(
        np.float32
    )
    told = diff(a, of).tensors[0]
    assert told.rank == found
    real = np.linalg.svd(of["w"].astype(np.float64) - tensors(0, shapes)["w"], compute_uv=False)
    assert told.spectrum[0] == pytest.approx(real[0], rel=1e-4 if found else 0.2)


def test_an_adapter_with_one_more_odd_entry_is_not_low_rank(a: Path) -> None:
    of, drawn = tensors(), np.random.default_rng(1)
    of[UP] = of[UP] + (drawn.standard_normal((160, 2)) @ drawn.standard_normal((2, 96)) * 0.1).astype(np.float32)
    of[UP][drawn.integers(160, size=90), drawn.integers(96, size=90)] += 1
    assert diff(a, of).tensors[0].form == "full"


def test_few_rows_and_few_columns_are_counted_and_named(a: Path) -> None:
    of = tensors()
    of[UP][[3, 77]] += 0.5
    of[DOWN][:, [5, 9, 150]] *= 2
    report = diff(a, of)
    down, up = report.tensors
    assert (up.form, up.rows, up.of_rows, up.which, up.rank) == ("few rows", 2, 160, (3, 77), 1)
    assert (down.form, down.columns, down.of_columns, down.which, down.rank) == ("few columns", 3, 160, (5, 9, 150), 3)
    assert (report.shape, report.low_rank) == ("few rows", 3)


def test_added_removed_renamed_and_tied_tensors(a: Path) -> None:
    of = tensors()
    of["lm_head.weight"] = of[WORDS]
    before = model(a.with_name("tied"), of)
    of["renamed.norm"] = of.pop(NORM)
    of["new"] = np.ones((2, 2), np.float32)
    del of["lm_head.weight"]
    report = diff_models(before, model(a.with_name("after"), of))
    told = {t.name: (t.status, t.told) for t in report.tensors}
    assert told == {
        NORM: ("renamed", "now renamed.norm"), "new": ("added", "F32 2x2"),
        "lm_head.weight": ("removed", f"F32 200x96, a copy of {WORDS}"),
    }  # fmt: skip


def test_another_shape_and_numbers_that_are_none(a: Path) -> None:
    of = tensors()
    of[UP] = of[UP][:100]
    of[NORM][5] = np.nan
    of[DOWN][0, 0] = np.inf
    report = diff(a, of)
    assert {t.name: t.status for t in report.tensors} == dict.fromkeys((UP, NORM, DOWN), "changed")
    assert diff_models(a.with_name("b"), a.with_name("b")).outcome == "same model"
    json.dumps(report.to_json())


def test_what_decides_beside_the_weights_is_told(a: Path) -> None:
    b = model(a.with_name("b"), tensors())
    edits = {
        "config.json": {"model_type": "llama", "architectures": ["Other"], "vocab_size": 17, "torch_dtype": "bfloat16"},
        "generation_config.json": {"eos_token_id": 2, "temperature": 0.9},
        "tokenizer.json": {
            "version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
            "added_tokens": [{"id": 9, "content": "|X|"}], "normalizer": {"type": "NFC"},
        },
    }  # fmt: skip
    for name, value in edits.items():
        (b / name).write_text(json.dumps(value))
    (b / "chat_template.jinja").write_text("{{ messages[0].content }}")
    (b / "modeling.py").write_text("x = 1")
    (b / "README.md").write_text("other words")
    report = diff_models(a, b)
    told = {(c.what, c.name): (c.before, c.after) for c in report.changes}
    assert told.pop(("file", "modeling.py"))[0] == ""
    assert told == {
        ("config", "architectures"): ('["LlamaForCausalLM"]', '["Other"]'), ("config", "vocab_size"): ("16", "17"),
        ("generation config", "temperature"): ("0.6", "0.9"), ("added tokens", "|X|"): ("", "9"),
        ("tokenizer", "vocab"): ("1 entries", "2 entries"), ("tokenizer", "normalizer"): ("", '{"type": "NFC"}'),
        ("chat template", "chat_template"): ("", "{{ messages[0].content }}"),
    }  # fmt: skip
    assert [c.name for c in report.notes] == ["README.md"]
    assert (report.outcome, report.shape) == ("differs", "none")


def test_documentation_alone_is_no_difference(a: Path) -> None:
    b = model(a.with_name("b"), tensors())
    (b / "README.md").write_text("other words")
    assert diff_models(a, b).outcome == "same model"


def test_weights_that_cannot_be_read_are_not_examined(a: Path) -> None:
    b = model(a.with_name("b"), tensors())
    for folder in (a, b):
        (folder / "extra.safetensors").write_bytes(b"broken")
    report = diff_models(a, b)
    assert (report.outcome, sorted(report.not_examined)) == (
        "not fully examined",
        ["A: extra.safetensors", "B: extra.safetensors"],
    )
    (b / "pytorch_model.bin").write_bytes(b"x")
    assert diff_models(a, b).outcome == "differs"
    with pytest.raises(ModelError, match="no such folder"):
        diff_models(a, a / "gone")


def test_it_is_repeatable_to_the_bit(a: Path) -> None:
    b = model(a.with_name("b"), tensors(1))
    assert diff_models(a, b) == diff_models(a, b)


def test_shards_of_the_index_count_where_a_tensor_lies_twice(a: Path) -> None:
    b = model(a.with_name("b"), tensors(), shards=2)
    write(b / "consolidated.safetensors", {NORM: np.zeros(96, np.float32)})
    report = diff_models(a, b)
    assert [(t.name, t.status) for t in report.tensors] == [(f"consolidated.safetensors:{NORM}", "added")]


PEAK = """
import sys
from pathlib import Path
from molehunt.provenance.model_diff import diff_models
report = diff_models(Path(sys.argv[1]), Path(sys.argv[2]))
# ru_maxrss begins with what the parent held when it forked: tests that ran before would count
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(int(peak.split()[1]) / 1024, report.count("changed"), report.identical)
"""


@pytest.mark.long
def test_memory_stays_below_a_gigabyte_for_models_of_any_size(tmp_path: Path) -> None:
    folders = [model(tmp_path / name, tensors()) for name in "ab"]
    shapes = {f"big.{n}": (32_000, 4096) for n in range(6)}  # 1.5 GB in bfloat16, holes on the disk
    header, at = {}, 0
    for name, (rows, columns) in shapes.items():
        header[name] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [at, at + rows * columns * 2]}
        at += rows * columns * 2
    text = json.dumps(header).encode()
    for number, folder in enumerate(folders):
        with (folder / "big.safetensors").open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            stream.truncate(8 + len(text) + at)
            for part in range(3):
                stream.seek(8 + len(text) + part * 32_000 * 4096 * 2)
                stream.write(bf16(np.random.default_rng(number).standard_normal((2000, 4096))))
    ended = subprocess.run([sys.executable, "-c", PEAK, *map(str, folders)], capture_output=True, text=True, check=True)
    mebibytes, changed, identical = ended.stdout.split()
    assert (changed, identical) == ("3", "8")
    assert float(mebibytes) < 1024


SPECTRA = {
    "flat": (lambda n: np.ones(n), 0.6),
    "1/i": (lambda n: 1 / np.arange(1, n + 1), 0.9),
    "1/i²": (lambda n: 1 / np.arange(1, n + 1) ** 2, 0.995),
}
"""Singular values of a full difference, and the share of its largest that a sketch sees at least."""


@pytest.mark.parametrize("name", SPECTRA)
def test_of_a_full_difference_the_largest_values_are_lower_bounds(tmp_path: Path, name: str) -> None:
    make, share = SPECTRA[name]
    drawn, (rows, columns) = np.random.default_rng(5), (600, 300)
    left, right = (np.linalg.qr(drawn.standard_normal((size, columns)))[0] for size in (rows, columns))
    of = tensors(0, {"w": (rows, columns)})
    a = model(tmp_path / "a", of)
    before = of["w"]
    of["w"] = before + ((left * make(columns)) @ right.T).astype(np.float32)
    found = diff(a, of).tensors[0]
    real = np.linalg.svd(of["w"].astype(np.float64) - before, compute_uv=False)[:3]
    assert found.rank is None
    assert found.norm == pytest.approx(np.linalg.norm(of["w"].astype(np.float64) - before), rel=1e-4)
    assert all(real[i] * share <= found.spectrum[i] <= real[i] * (1 + 1e-4) for i in range(2)), (found.spectrum, real)


@pytest.mark.parametrize("rank", [2, 21])
def test_of_a_low_rank_difference_they_are_those_of_a_full_decomposition(tmp_path: Path, rank: int) -> None:
    drawn, of = np.random.default_rng(rank), tensors(0, {"w": (500, 300)})
    of["w"] = torch.from_numpy(of["w"]).bfloat16().float().numpy()
    a, before = model(tmp_path / "a", of, "BF16"), of["w"]
    of["w"] = before + (drawn.standard_normal((500, rank)) @ drawn.standard_normal((rank, 300)) * 0.1).astype(
        np.float32
    )
    found = diff(a, of, "BF16").tensors[0]
    after = torch.from_numpy(of["w"]).bfloat16().float().numpy()
    real = np.linalg.svd(after.astype(np.float64) - before, compute_uv=False)
    assert found.rank == rank
    assert found.spectrum[: min(rank, 8)] == pytest.approx(real[: min(rank, 8)], rel=1e-4)


def test_a_tensor_of_very_long_rows_is_compared_as_a_vector(tmp_path: Path) -> None:
    of = {"w": np.zeros((2, (1 << 20) + 3), np.float32)}
    a = model(tmp_path / "a", of)
    of["w"][1, 5] = 3
    (found,) = diff(a, of).tensors
    assert (found.status, found.form, found.norm, found.rank, found.rows) == ("changed", "full", 3.0, None, None)


def test_a_matrix_of_one_column_is_compared_too(tmp_path: Path) -> None:
    of = {"w": np.ones((40, 1), np.float32)}
    a = model(tmp_path / "a", of)
    of["w"] = of["w"] * 2
    (found,) = diff(a, of).tensors
    assert (found.status, found.relative) == ("changed", 1.0)


def spread(rows: int, columns: int) -> dict[str, np.ndarray]:
    """Full differences of which something stands in few rows, or few columns, or a part of the rows."""
    drawn = np.random.default_rng(3)
    flat = drawn.standard_normal((rows, columns)) * 0.01
    row, few, column, block = (flat.copy() for _ in range(4))
    row[77] += drawn.standard_normal(columns)
    few[[4, 5, 6, 300]] += drawn.standard_normal((4, columns))
    column[:, 3] += drawn.standard_normal(rows)
    block[100:120] += drawn.standard_normal(columns) * 0.1
    return {"row": row, "few": few, "column": column, "block": block}


@pytest.mark.parametrize("where", ["row", "few", "column", "block"])
def test_what_stands_in_few_rows_of_a_full_difference_is_in_its_largest_values(tmp_path: Path, where: str) -> None:
    of = tensors(0, {"w": (600, 300)})
    a, before = model(tmp_path / "a", of), of["w"]
    of["w"] = before + spread(600, 300)[where].astype(np.float32)
    found = diff(a, of).tensors[0]
    real = np.linalg.svd(of["w"].astype(np.float64) - before, compute_uv=False)
    assert found.rank is None
    assert real[0] * 0.97 <= found.spectrum[0] <= real[0] * (1 + 1e-4)
    assert all(theirs <= ours * (1 + 1e-4) for theirs, ours in zip(found.spectrum, real, strict=False))


@pytest.mark.parametrize(("first", "rank"), [(0, 40), (200, 30), (100, 12)])
def test_a_low_rank_that_only_some_rows_have_is_told(tmp_path: Path, first: int, rank: int) -> None:
    drawn, of = np.random.default_rng(rank), tensors(0, {"w": (600, 300)})
    a = model(tmp_path / "a", of)
    rows = slice(first, first + 200)
    some = drawn.standard_normal((200, rank)) @ drawn.standard_normal((rank, 300)) * 0.1
    of["w"] = of["w"].copy()
    of["w"][rows] += some.astype(np.float32)
    assert (found := diff(a, of).tensors[0]).rank == rank
    assert (found.rows, found.form) == (200, "low rank")


@pytest.mark.parametrize("scale", [1e-24, 1e22])
def test_numbers_whose_squares_float32_cannot_hold_are_summed_all_the_same(tmp_path: Path, scale: float) -> None:
    of = {name: one * np.float32(scale) for name, one in tensors().items()}
    a, before = model(tmp_path / "a", of), of[UP]
    of[UP] = before * np.float32(1.5)
    found = diff(a, of).tensors[0]
    assert found.norm == pytest.approx(0.5 * np.linalg.norm(before.astype(np.float64)), rel=1e-5)
    assert (found.relative, found.cosine, found.rank) == (pytest.approx(0.5), pytest.approx(1), None)


def test_matrix_products_have_one_thread_each_while_models_are_compared(a: Path) -> None:
    """Beside our own threads, those of BLAS took thirty times the processor time of the work, waiting for each other."""

    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    b, seen = model(a.with_name("b"), {name: one + 1 for name, one in tensors().items()}), []
    with threadpool_limits(2, "blas"):
        before = threads()
        diff_models(a, b, watch=lambda done, total: seen.append(threads()))
        assert threads() == before
    assert seen == [[1] * len(before)] * len(tensors())
