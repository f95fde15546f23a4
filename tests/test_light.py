import subprocess
import sys
from pathlib import Path

import pytest

import molehunt

ROOMS = ("records", "stats", "execution", "provenance", "world", "reports", "logs", "gateway", "hunting")
HERE = Path(molehunt.__file__).parent


def modules_of(room: str) -> list[str]:
    names = [path.relative_to(HERE.parent).with_suffix("").parts for path in (HERE / room).rglob("*.py")]
    return [".".join(parts).removesuffix(".__init__") for parts in names]


def heavy_after(*modules: str) -> str:
    code = f"import sys, {', '.join(modules)}\nprint(sorted({{'torch', 'transformers', 'peft', 'ray'}} & sys.modules.keys()))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("room", ROOMS)
def test_a_light_room_is_imported_without_torch(room: str) -> None:
    modules = modules_of(room)
    assert modules
    assert heavy_after(*modules) == "[]"


@pytest.mark.parametrize("module", ["molehunt", "molehunt.cli.app", "molehunt.errors"])
def test_the_front_door_is_imported_without_torch(module: str) -> None:
    assert heavy_after(module) == "[]"


def test_a_demo_is_read_and_drawn_without_torch() -> None:
    assert (
        heavy_after("molehunt.experiments.demo_result", "molehunt.reports.demo_page", "molehunt.cli.summaries") == "[]"
    )
