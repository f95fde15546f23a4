import json
import re

from audit_records import NOT_TESTED, audit_result
from demo_records import HOSTILE
from molehunt.records.audits import AuditResult, Kinship
from molehunt.reports.audit_sarif import audit_sarif
from sarif_rules import assert_sarif

VERDICTS = {"flagged": "error", "nothing found within coverage": "note", "abstained": "warning"}


def run_of(result: AuditResult) -> dict:  # type: ignore[type-arg]
    log = json.loads(json.dumps(audit_sarif(result), allow_nan=False))
    assert_sarif(log)
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    return run  # type: ignore[no-any-return]


def test_every_log_has_what_the_format_asks_for() -> None:
    for result in (
        audit_result(),
        audit_result(HOSTILE),
        audit_result(verdict="abstained", card=False, endpoint=True, tier="text"),
    ):
        run = run_of(result)
        rules = run["tool"]["driver"]["rules"]
        assert run["tool"]["driver"]["name"] == "molehunt"
        assert len({rule["id"] for rule in rules}) == len(rules)
        for one in run["results"]:
            assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
            assert one["level"] in ("error", "warning", "note")
            assert one["message"]["text"]
            (location,) = one["locations"]
            if "physicalLocation" in location:
                file = location["physicalLocation"]["artifactLocation"]
                assert run["artifacts"][file["index"]]["location"]["uri"] == file["uri"]
                assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", file["uri"])
        prints = [one["partialFingerprints"]["molehunt/v1"] for one in run["results"]]
        assert len({*prints}) == len(prints)
        assert all(re.fullmatch("[0-9a-f]{64}", artifact["hashes"]["sha-256"]) for artifact in run["artifacts"])


def test_verdict_texts_and_gaps_are_results() -> None:
    for verdict, level in VERDICTS.items():
        results = run_of(audit_result(verdict=verdict))["results"]  # type: ignore[arg-type]
        assert (results[0]["ruleId"], results[0]["level"]) == ("verdict", level)
        gaps = [one["message"]["text"] for one in results if one["ruleId"] == "not-analysed"]
        assert [f"Not tested: {line}" for line in NOT_TESTED] == gaps[: len(NOT_TESTED)]
    flagged = run_of(audit_result())["results"]
    texts = {one["ruleId"]: one["level"] for one in flagged if "properties" in one}
    assert texts == {"rare_conditions": "warning", "trigger_search": "note"}


def test_a_finding_is_the_same_one_when_only_its_rates_moved() -> None:
    first = audit_result()
    again = first.candidates[0].model_copy(
        update={"asr": 0.9, "interval": first.candidates[0].interval.model_copy(update={"value": 0.9})}
    )
    second = first.model_copy(update={"candidates": (again, *first.candidates[1:])})
    prints = [{one["partialFingerprints"]["molehunt/v1"] for one in run_of(r)["results"]} for r in (first, second)]
    assert prints[0] == prints[1]


def test_a_wrong_base_is_a_result() -> None:
    result = audit_result()
    kin = Kinship(is_base=False, reason="their vocabularies differ", cosine=None)
    wrong = result.model_copy(update={"identity": result.identity.model_copy(update={"kinship": kin})})
    assert "wrong-base" in {one["ruleId"] for one in run_of(wrong)["results"]}


def test_no_word_of_a_model_becomes_a_link_or_a_control_character() -> None:
    run = run_of(audit_result(("[click](https://example.com)", "\x1b[31mred\u202e")))
    for one in run["results"]:
        text = one["message"]["text"]
        assert not re.search(r"(?<!\\)\[", text)
        assert not set("\x1b\u202e") & {*text}
