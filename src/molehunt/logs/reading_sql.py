"""The SQL that makes calls of records; anyone may run it with DuckDB.

It forgives: messages of another shape than OpenTelemetry's, or encrypted, give no turns. Half surrogate pairs, which JSON can
write and UTF-8 cannot, become U+FFFD.
"""

_PARTS = '"parts":[{"type":"VARCHAR","content":"VARCHAR","response":"VARCHAR","name":"VARCHAR","arguments":"VARCHAR"}]'
_MESSAGES = f"""'[{{"role":"VARCHAR",{_PARTS}}}]'"""
_PART_LIST = "'" + _PARTS.removeprefix('"parts":') + "'"
_TOOLS = """'[{"name":"VARCHAR","type":"VARCHAR","function":{"name":"VARCHAR"}}]'"""


def _json(column: str) -> str:
    whole = f'"{column}"'
    mended = f"""regexp_replace({whole}, '\\\\u[dD][89a-fA-F][0-9a-fA-F]{{2}}', '\\\\ufffd', 'g')"""
    return f"CASE WHEN json_valid({whole}) THEN {whole} WHEN json_valid({mended}) THEN {mended} END"


def _texts(parts: str, kind: str = "text") -> str:
    """The texts of some parts as one; None where there are none."""
    texts = f"[coalesce(p.content, '') FOR p IN {parts} IF p.type = '{kind}']"
    return f"array_to_string({texts}, chr(10))"


_SEGMENT = "regexp_extract(filename, '([^/]+/[0-9]{8})[.]parquet$', 1)"
_TURN_TEXT = """array_to_string([coalesce(p.content, p.response) FOR p IN coalesce(m.parts, [])
    IF p.type IN ('text', 'tool_call_response') AND coalesce(p.content, p.response) IS NOT NULL], chr(10))"""

FLAGS_SQL = """
CREATE TEMP TABLE flags AS
SELECT "molehunt.call.id" AS id, list("molehunt.flag" ORDER BY time) AS flagged FROM read_parquet(FILES, union_by_name = true)
WHERE event = 'flag' AND "molehunt.flag" IS NOT NULL GROUP BY id
"""
"""People's flags by call; FILES stands for a list of Parquet files named WORKER/NUMBER.parquet."""
LATE_SQL = """
INSERT INTO late SELECT "molehunt.call.id" FROM
    (SELECT "molehunt.call.id" FROM read_parquet(REQUESTS, union_by_name = true) WHERE event = 'request') ANTI JOIN
    (SELECT "molehunt.call.id" FROM read_parquet(ANSWERS, union_by_name = true) WHERE event IN ('answer', 'interrupted'))
    USING ("molehunt.call.id")
"""
"""Notes the calls of REQUESTS whose answers are not among ANSWERS."""

CALLS_SQL = f"""
WITH requests AS (
    SELECT *, "molehunt.call.id" AS id, {_SEGMENT} AS segment,
        from_json({_json("gen_ai.input.messages")}, {_MESSAGES}) AS turns,
        from_json({_json("gen_ai.system_instructions")}, {_PART_LIST}) AS instructions,
        from_json({_json("gen_ai.tool.definitions")}, {_TOOLS}) AS offered
    FROM read_parquet(REQUESTS, filename = true, union_by_name = true) WHERE event = 'request' AND time >= SINCE AND ONLY
), answers AS (
    SELECT "molehunt.call.id" AS id, "http.response.status_code" AS status, "gen_ai.response.finish_reasons" AS reasons,
        {_SEGMENT} || ':' || hash AS source, "gen_ai.response.model" AS model, "molehunt.model.digest" AS digest, event AS ended,
        flatten([coalesce(m.parts, []) FOR m IN from_json({_json("gen_ai.output.messages")}, {_MESSAGES})]) AS parts
    FROM read_parquet(ANSWERS, filename = true, union_by_name = true) WHERE event IN ('answer', 'interrupted') AND ONLY
), decisions AS (
    SELECT "molehunt.call.id" AS id, list("molehunt.decision" ORDER BY seq) AS decided FROM read_parquet(ANSWERS, union_by_name = true)
    WHERE event = 'decision' AND "molehunt.decision" IS NOT NULL AND ONLY GROUP BY id
)
SELECT r.id AS call_id,
    coalesce(try_cast(r."molehunt.imported.time" AS TIMESTAMPTZ), r.time::TIMESTAMPTZ) AS started,
    coalesce(r."gen_ai.conversation.id", r.id) AS session,
    coalesce(r."molehunt.client", '') AS client,
    coalesce(r."molehunt.user", '') AS "user",
    coalesce(r."molehunt.application", '') AS application,
    coalesce(r."gen_ai.request.model", a.model, '') AS model,
    coalesce(a.digest, r."molehunt.model.digest", '') AS model_digest,
    list_concat(
        CASE WHEN len(r.instructions) > 0 THEN [{{'role': 'system', 'content': {_texts("r.instructions")}}}] ELSE [] END,
        coalesce([{{'role': coalesce(m.role, ''), 'content': {_TURN_TEXT}}} FOR m IN r.turns], [])) AS messages,
    coalesce([coalesce(t.name, t.function.name, t.type, '') FOR t IN r.offered], []) AS tools,
    {_texts("coalesce(a.parts, [])")} AS answer,
    {_texts("coalesce(a.parts, [])", "reasoning")} AS reasoning,
    coalesce([{{'name': coalesce(p.name, ''), 'arguments': coalesce(p.arguments, '')}} FOR p IN a.parts
        IF p.type = 'tool_call'], []) AS tool_calls,
    coalesce(d.decided, []) AS decisions,
    coalesce(a.reasons[1], CASE WHEN a.ended = 'interrupted' THEN 'interrupted' END, '') AS finish,
    coalesce(a.status, CASE WHEN a.id IS NULL THEN 0 ELSE 200 END) AS status,
    coalesce(f.flagged, []) AS flags,
    coalesce(a.source, r.segment || ':' || r.hash) AS source
FROM requests r KIND JOIN answers a USING (id) LEFT JOIN decisions d USING (id) LEFT JOIN flags f USING (id)
"""
"""The calls of REQUESTS whose answers and decisions are among ANSWERS; SINCE is a time as records have it, ONLY a
condition on ids, KIND is INNER or LEFT."""
