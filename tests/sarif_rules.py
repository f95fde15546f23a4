"""What SARIF 2.1.0 (OASIS, sarif-v2.1.0-os) says of the objects that we write: which properties they must and may have.

Written down from the standard's text, sections 3.13 to 3.59; results, locations, messages and notifications were also compared with the
OASIS schema (errata 01) by eye. The schema itself is no part of this repository.
"""

from typing import Any

from jsonschema import Draft7Validator, FormatChecker

Shape = dict[str, Any]


def _object(must: str, **may: Any) -> Shape:
    """Properties that have to be there, and all that may be with their schemas; a property bag, with tags, is allowed everywhere (3.8)."""
    bag = {"type": "object", "properties": {"tags": _list({"type": "string"}, unique=True)}}
    return {
        "type": "object",
        "required": must.split(),
        "properties": {**may, "properties": bag},
        "additionalProperties": False,
    }


def _list(of: Shape, unique: bool = False) -> Shape:
    return {"type": "array", "items": of, "uniqueItems": unique}


TEXT: Shape = {"type": "string"}
TIME: Shape = {"type": "string", "format": "date-time", "pattern": r"Z$"}
RANK: Shape = {"type": "number", "minimum": -1, "maximum": 100}
INDEX: Shape = {"type": "integer", "minimum": -1}
URI: Shape = {"type": "string", "format": "uri-reference", "pattern": r"^[A-Za-z0-9._~/%:?#@!$&'()*+,;=-]*$"}
LEVEL: Shape = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = _object("text", text=TEXT, markdown=TEXT, id=TEXT, arguments=_list(TEXT))
MULTIFORMAT = _object("text", text=TEXT, markdown=TEXT)
ARTIFACT_LOCATION = _object("", uri=URI, uriBaseId=TEXT, index=INDEX, description=MESSAGE)
LINE: Shape = {"type": "integer", "minimum": 1}
REGION = _object(
    "", startLine=LINE, endLine=LINE, startColumn=LINE, endColumn=LINE,
    snippet=_object("", text=TEXT, binary=TEXT, rendered=MULTIFORMAT), message=MESSAGE,
)  # fmt: skip
LOGICAL = _object("", name=TEXT, fullyQualifiedName=TEXT, decoratedName=TEXT, kind=TEXT, index=INDEX, parentIndex=INDEX)
LOCATION = _object(
    "", id=INDEX, message=MESSAGE, logicalLocations=_list(LOGICAL, unique=True),
    physicalLocation=_object("artifactLocation", artifactLocation=ARTIFACT_LOCATION, region=REGION, contextRegion=REGION),
)  # fmt: skip
RULE = _object(
    "id", id=TEXT, name=TEXT, guid=TEXT, shortDescription=MULTIFORMAT, fullDescription=MULTIFORMAT, help=MULTIFORMAT,
    helpUri={"type": "string", "format": "uri"}, messageStrings={"type": "object", "additionalProperties": MULTIFORMAT},
    defaultConfiguration=_object("", enabled={"type": "boolean"}, level=LEVEL, rank=RANK), relationships=_list({}),
)  # fmt: skip
DRIVER = _object(
    "name", name=TEXT, version=TEXT, semanticVersion=TEXT, fullName=TEXT, organization=TEXT, product=TEXT,
    informationUri={"type": "string", "format": "uri"}, rules=_list(RULE, unique=True), shortDescription=MULTIFORMAT,
)  # fmt: skip
NOTIFICATION = _object(
    "message", message=MESSAGE, level=LEVEL, locations=_list(LOCATION, unique=True), descriptor={}, timeUtc=TIME
)
RESULT = _object(
    "message", message=MESSAGE, ruleId=TEXT, ruleIndex=INDEX, level=LEVEL, locations=_list(LOCATION),
    kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]}, guid=TEXT, rank=RANK,
    partialFingerprints={"type": "object", "additionalProperties": TEXT}, relatedLocations=_list(LOCATION, unique=True),
    fingerprints={"type": "object", "additionalProperties": TEXT}, codeFlows=_list({}), attachments=_list({}, unique=True),
)  # fmt: skip
ARTIFACT = _object(
    "", location=ARTIFACT_LOCATION, length={"type": "integer", "minimum": -1}, roles=_list({"enum": ["analysisTarget", "resultFile", "attachment", "directory"]}, unique=True), mimeType=TEXT,
    hashes={"type": "object", "additionalProperties": TEXT}, description=MESSAGE, contents={}, parentIndex=INDEX,
)  # fmt: skip
INVOCATION = _object(
    "executionSuccessful", executionSuccessful={"type": "boolean"}, exitCode={"type": "integer"}, commandLine=TEXT,
    toolExecutionNotifications=_list(NOTIFICATION), startTimeUtc=TIME, endTimeUtc=TIME,
)  # fmt: skip
RUN = _object(
    "tool", tool=_object("driver", driver=DRIVER), invocations=_list(INVOCATION), artifacts=_list(ARTIFACT, unique=True),
    results=_list(RESULT), columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]}, automationDetails={},
)  # fmt: skip
LOG: Shape = {
    "type": "object", "required": ["version", "runs"], "additionalProperties": False,
    "properties": {"$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"}, "runs": _list(RUN)},
}  # fmt: skip


def assert_sarif(log: object) -> None:
    """Fails at the first place that is not as the standard has it."""
    found = next(Draft7Validator(LOG, format_checker=FormatChecker()).iter_errors(log), None)
    assert found is None, f"{'/'.join(map(str, found.absolute_path))}: {found.message[:300]}"
