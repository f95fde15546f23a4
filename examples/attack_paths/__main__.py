"""Tell the four stories, and write their table.

python examples/attack_paths                    # all four
python examples/attack_paths hub registry       # some
python examples/attack_paths --audit --write    # results.json, and the table in docs/supply-chain.md
"""

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dataset
import hub
import registry
import service
from stage import Finding, Story, table_of

STORIES = {"hub": hub.main, "service": service.main, "dataset": dataset.main, "registry": registry.main}
RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[2] / "docs" / "supply-chain.md"
_TABLE = re.compile(r"(?<=<!-- attack paths -->\n).*?(?=<!-- end -->)", re.DOTALL)


def write(stories: Sequence[Story]) -> None:
    """Put new results in the place of the old ones of the same paths, and all of them into the page."""
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    new = {one.path: one.to_json() for one in stories}
    results = {path: new.get(path, old.get(path)) for path in STORIES if path in {**old, **new}}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(page: str) -> str:
    """The page with the table of results.json."""
    results = json.loads(RESULTS.read_text())
    table = table_of([Finding(**one) for story in results.values() for one in story["findings"]])
    return _TABLE.sub(lambda found: table + "\n", page)


def main() -> None:
    """Tell them in folders that go."""
    asked = argparse.ArgumentParser(
        description="Four ways in which a planted model reaches a buyer, and what catches them."
    )
    asked.add_argument("stories", nargs="*", choices=[*STORIES, []], help="all if none is named")
    asked.add_argument("--base", default="mini", help="mini, or what `molehunt organism plant --base` takes")
    asked.add_argument("--audit", action="store_true", help="audit what was planted too: minutes")
    asked.add_argument("--write", action="store_true", help="write results.json and the table of docs/supply-chain.md")
    words = asked.parse_args()
    stories = []
    for name in words.stories or STORIES:
        with tempfile.TemporaryDirectory() as folder:
            stories.append(STORIES[name](Path(folder), words.base, words.audit))
        print(stories[-1].lines(), flush=True)
    print("\n" + table_of([finding for story in stories for finding in story.findings]))
    if words.write:
        write(stories)


if __name__ == "__main__":
    main()
