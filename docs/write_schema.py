"""Write docs/result.schema.json from the record that `molehunt demo` fills."""

import json
from pathlib import Path

from molehunt.records.results import DemoResult

schema = json.dumps(DemoResult.model_json_schema(by_alias=True), indent=1)
Path(__file__).with_name("result.schema.json").write_text(schema + "\n", encoding="utf-8")
