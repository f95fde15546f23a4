"""The documented format of result.json is the one the code writes."""

import json
from pathlib import Path

from molehunt.records.results import DemoResult

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documented_schema_is_the_records_own() -> None:
    documented = json.loads((DOCS / "result.schema.json").read_text())
    assert documented == DemoResult.model_json_schema(by_alias=True), "write it anew: python docs/write_schema.py"
