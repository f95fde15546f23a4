"""The events of a log and the names of what they hold: OpenTelemetry's where it has one, `molehunt.` where it has none.

An event's body is a JSON object whose members are these attributes; others may stand beside them and are kept.

    start        one worker begins: versions, digests of policies and of the model behind it
    request      one call was asked, written before it goes upstream: OPERATION … INPUT, TOOLS, CLIENT, MODEL_DIGEST, …
    answer       what came back, written before the client has its last byte: OUTPUT, FINISH_REASONS, USAGE_*, STATUS
    interrupted  an answer of which only a part was sent: OUTPUT is that part, INTERRUPTED says who broke off
    decision     what a policy decided on the call: DECISION is deny:TOOL, ask:TOOL, allow:TOOL, deny-host:HOST; withhold:TOOL
                 if it was not even offered
    hold         an operator was asked about a call, by a rule with @ask: the decision, and BY whom
    differ       the model that a rule's @differ asks beside it was asked the same call: whether it agrees
    policy       rules were read anew: POLICY is their digest
    model        the model behind it was hashed anew: MODEL_DIGEST
    canary       a synthetic request on the live path: CANARY is its name, PASSED says whether it did what it should
    flag         a person says that a call is an incident: FLAG is the incident's id
    stop         the worker ends on purpose

Every event about a call has its CALL_ID. The log itself adds `segment` (the first record of each segment), `closed` (a
segment was rewritten as Parquet: its SHA-256), `mended` (bytes that a crash tore off, kept aside) and `anchor-failed`.

Messages are those of OpenTelemetry's GenAI conventions: {"role", "parts": [{"type": "text", "content"} | {"type": "reasoning",
"content"} | {"type": "tool_call", "id", "name", "arguments"} | {"type": "tool_call_response", "id", "response"}]}, and
"finish_reason" on an answer's; `messages.py` makes them from a chat request. Arguments are kept as the model wrote them: text.
"""

from typing import Literal

Event = Literal[
    "start",
    "request",
    "answer",
    "interrupted",
    "decision",
    "hold",
    "differ",
    "policy",
    "model",
    "canary",
    "flag",
    "stop",
]
"""What others than the log itself append; any name of small letters, digits and hyphens is accepted."""

OPERATION = "gen_ai.operation.name"
"""chat, text_completion, embeddings, …"""
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
"""The session: what belongs together."""
REQUEST_MODEL = "gen_ai.request.model"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
TOP_K = "gen_ai.request.top_k"
MAX_TOKENS = "gen_ai.request.max_tokens"
SEED = "gen_ai.request.seed"
STOP_SEQUENCES = "gen_ai.request.stop_sequences"
FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
CHOICES = "gen_ai.request.choice.count"
STREAM = "gen_ai.request.stream"
OUTPUT_TYPE = "gen_ai.output.type"
INPUT = "gen_ai.input.messages"
SYSTEM = "gen_ai.system_instructions"
"""Parts of instructions that came apart from the messages, as the Responses API's `instructions` do."""
TOOLS = "gen_ai.tool.definitions"
OUTPUT = "gen_ai.output.messages"
"""One message a choice."""
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""Seconds."""
USAGE_INPUT = "gen_ai.usage.input_tokens"
USAGE_OUTPUT = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION = "gen_ai.usage.cache_creation.input_tokens"
USAGE_REASONING = "gen_ai.usage.reasoning.output_tokens"
ERROR = "error.type"
SERVER = "server.address"
PORT = "server.port"
STATUS = "http.response.status_code"

CALL_ID = "molehunt.call.id"
CLIENT = "molehunt.client"
USER = "molehunt.user"
APPLICATION = "molehunt.application"
"""Digest or name of the application's prompt template."""
ENDPOINT = "molehunt.endpoint"
"""The path that was asked, such as /v1/chat/completions."""
MODEL_DIGEST = "molehunt.model.digest"
"""Root digest of the weights behind the endpoint."""
DIGEST_SOURCE = "molehunt.model.digest.source"
"""verified or declared."""
ADAPTER_DIGEST = "molehunt.adapter.digest"
TEMPLATE_DIGEST = "molehunt.template.digest"
PROMPT = "molehunt.prompt.rendered"
"""The text that the model really read, where the upstream is ours."""
DECISION = "molehunt.decision"
POLICY = "molehunt.policy.digest"
REASONS = "molehunt.decision.reasons"
INTERRUPTED = "molehunt.interrupted"
"""client, upstream or policy."""
CANARY = "molehunt.canary"
CANARY_CLIENT = "molehunt-canary"
"""The client of such requests in `request` records."""
PASSED = "molehunt.canary.passed"
FLAG = "molehunt.flag"
BY = "molehunt.by"
"""Who flagged, or decided on a hold: the name of an operator's key, `user NAME` of the command line, `the webhook`, or nobody."""

IMPORTED_TIME = "molehunt.imported.time"
"""When the call was, ISO 8601, as its source says; a record's own time is when it was imported."""
IMPORTED_FROM = "molehunt.imported.from"
"""FILE:LINE."""

CONTENT = (INPUT, OUTPUT, SYSTEM, TOOLS, PROMPT)
"""What may be long: kept in columns of their own, and once."""
TEXTS = (
    OPERATION, PROVIDER, CONVERSATION, REQUEST_MODEL, RESPONSE_MODEL, RESPONSE_ID, OUTPUT_TYPE, ERROR, SERVER, CALL_ID, CLIENT, USER,
    APPLICATION, ENDPOINT, MODEL_DIGEST, DIGEST_SOURCE, ADAPTER_DIGEST, TEMPLATE_DIGEST, DECISION, POLICY, INTERRUPTED, FLAG, BY,
    IMPORTED_TIME, IMPORTED_FROM,
)  # fmt: skip
INTEGERS = (
    MAX_TOKENS, SEED, CHOICES, USAGE_INPUT, USAGE_OUTPUT, USAGE_CACHE_READ, USAGE_CACHE_CREATION, USAGE_REASONING, PORT, STATUS,
)  # fmt: skip
NUMBERS = (TEMPERATURE, TOP_P, TOP_K, FREQUENCY_PENALTY, PRESENCE_PENALTY, FIRST_CHUNK)
TRUTHS = (STREAM, PASSED)
LISTS = (FINISH_REASONS, STOP_SEQUENCES)
