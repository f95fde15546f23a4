"""The process apart: reads jobs from standard input, a line of JSON each, and answers each with a line."""

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

_CPU_SECONDS = 3600
"""The last resort, should the process that asked be gone."""


def _template(job: dict[str, Any]) -> dict[str, Any]:
    from molehunt.provenance.template_judging import judge

    return judge(job["template"], job.get("base"), _output_chars)


def _compare(job: dict[str, Any]) -> dict[str, Any]:
    from molehunt.provenance.template_judging import compare

    return compare(job["templates"], _output_chars)


def _render(job: dict[str, Any]) -> dict[str, Any]:
    from molehunt.provenance.template_rendering import Rendering

    return {"text": Rendering(job["template"], _output_chars).render(job["input"])}


def _pickle(job: dict[str, Any]) -> dict[str, Any]:
    from molehunt.provenance.containers import examine

    return {"findings": examine(job["path"], job["bytes"], job["members"], job["depth"])}


DOING: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "template": _template,
    "compare": _compare,
    "render": _render,
    "pickle": _pickle,
}
"""What the process can be asked."""
_output_chars = 0


def main(memory: int, output_chars: int) -> None:
    """Answer until standard input ends. Whatever a job raises is its answer."""
    global _output_chars
    _output_chars = output_chars
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = json.dumps(DOING[job["do"]](job))
        except MemoryError:
            answer = json.dumps({"failed": f"needs more than {memory >> 20} MiB"})
        except Exception as error:  # an exception in what examines is a result: not analysed
            answer = json.dumps({"failed": f"{type(error).__name__}: {error}"[:300]})
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
