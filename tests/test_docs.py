"""Pages that are made from the code, compared with what the code makes of them now."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lab_page_is_what_registries_and_results_make_of_it() -> None:
    write_lab = script(ROOT / "docs" / "write_lab.py")
    results = json.loads((ROOT / "studies" / "lab" / "results.json").read_text())
    assert (ROOT / "docs" / "lab.md").read_text() == write_lab.lab_page(results)
