"""One call through the gateway: admitted, recorded, asked, judged, recorded, answered, in that order."""

import asyncio
import re
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers

from molehunt.gateway.bodies import Receive, dumped, parse_body, parse_json, read_body
from molehunt.gateway.dialects.base import Dialect, Garbage, Json, Out, Stream, as_word
from molehunt.gateway.differing import second_opinion
from molehunt.gateway.facts import ModelFacts
from molehunt.gateway.failures import refusal_of
from molehunt.gateway.judging import Asked, Judge, Session, common_context
from molehunt.gateway.keys import Client
from molehunt.gateway.policies import CANARY, Decision
from molehunt.gateway.recording import answer_body, failed_body, rendered_body, request_body, session_names
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.served import REFUSED, Served
from molehunt.gateway.service import Service, now
from molehunt.gateway.sse import Events
from molehunt.gateway.telling import Send, Telling
from molehunt.gateway.upstream import BrokenOff, Reply, Upstream
from molehunt.logs import events

Scope = MutableMapping[str, Any]
RENDERED = "x-molehunt-rendered"
"""Asks a server of ours to say what prompt the model reads."""
_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Door:
    """The ASGI application of one endpoint."""

    def __init__(self, service: Service, endpoint: str, dialect: Dialect) -> None:
        self._service, self._endpoint, self._dialect = service, endpoint, dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(self._service, self._endpoint, self._dialect, scope, receive, send).run()


class Exchange:
    """One request and its answer."""

    def __init__(
        self, service: Service, endpoint: str, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.service, self.endpoint, self.dialect = service, endpoint, dialect
        self.headers, self._receive = Headers(scope=scope), receive
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        self.call = uuid.uuid4().hex
        self.began = now()
        self.told = Telling(send, self.request_id, dialect.has_done)
        self.is_recorded = self.is_gone = self.is_over = False
        self.stream: Stream | None = None
        self.rendered: Json = {}
        self.denied: list[Asked] = []
        self._known_as = ""
        self._watching: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the request; whatever goes wrong ends in one sentence and a status, and in the log."""
        try:
            async with asyncio.timeout(self.service.bounds.answering):
                client, body = await self._admitted()
                self._watching = asyncio.create_task(self._watch(asyncio.current_task()))
                await self._serve(client, body)
        except asyncio.CancelledError:
            if self.is_gone or self.told.status:
                self._record_interrupted("client" if self.is_gone else "gateway")
            if not self.is_gone:  # the gateway stops, and has waited for this answer
                await self._refuse(Refusal(503, "the gateway stops", "stopping"))
        except Exception as error:
            await self._refuse(refusal_of(error, self.call, self.service.bounds.answering))
        finally:
            self._unwatch()
            self.service.metrics.requests.labels(self.endpoint, str(self.told.status or 499)).inc()
            self.service.metrics.seconds.labels(self.endpoint).observe(now() - self.began)

    async def _watch(self, work: "asyncio.Task[None] | None") -> None:
        """Break the work off when the client is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if work is not None:
            work.cancel()

    def _unwatch(self) -> None:
        """From here on the client has all that it gets."""
        self.is_over = True
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _admitted(self) -> tuple[Client, Json]:
        client = self.service.keys.client(self.headers.get("authorization", ""))
        if client.operator:
            raise Refusal(403, "an operator's key asks no models", "operator_key")
        bounds = self.service.bounds
        most = min(bounds.body, client.body or bounds.body)
        raw = await read_body(self._receive, self.headers.get("content-length"), most, bounds.reading)
        body = parse_body(raw, bounds.depth)
        self.dialect.check(body)
        self.service.allow_rate(client.name, client.per_minute)
        return client, body

    async def _serve(self, client: Client, body: Json) -> None:
        model = body.get("model")
        served = self.service.served_for(model if isinstance(model, str) else "")
        facts = served.facts(model if isinstance(model, str) else served.settings.model)
        session = self._session(client, body)
        self._record_request(client, body, session, facts)
        judge = self._judge(client, body, session, facts, served)
        self.denied = judge.denied
        if client.name != CANARY:
            self._check_model(judge, facts)
        judge.remember(self.dialect.history(body, judge.has_tags))
        asked = self.dialect.strip(body, judge)
        self.service.metrics.own_seconds.observe(now() - self.began)
        reply = await self._ask(served.upstream if client.name != CANARY else self.service.canned, served, asked)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not 200 <= reply.status < 300:
            await self._pass_error(reply)
        elif kind == "text/event-stream":
            await self._stream(reply, judge, served, session)
        else:
            await self._whole(reply, judge, served, session)

    # Before the upstream is asked ------------------------------------------------------------------------------------

    def _session(self, client: Client, body: Json) -> Session:
        """What it belongs to; the upstream knows all clients by one key, so it is for us to keep their conversations apart."""
        state, is_own = self.service.state, self.endpoint.endswith("/responses")

        def session_of(response: str) -> str:
            owner, session = state.response(response)
            if owner not in ("", client.name):
                raise Refusal(404, f"no response {response[:80]!r} of this client's", "previous_response_not_found")
            return session

        name, *also = session_names(self.headers, body, session_of) or [self.call if is_own else ""]
        tags = {tag for one in (name, *also) if one for tag in state.tags(client.name, one)}
        for one in (name, *also) if also and tags else ():
            state.mark(client.name, one, tags)
        return Session(name, client.name, tuple(also), tags)

    def _record_request(self, client: Client, body: Json, session: Session, facts: ModelFacts) -> None:
        user, named = body.get("user"), self.headers.get("x-molehunt-application", "")[:200]
        who = {
            events.CALL_ID: self.call, events.CLIENT: client.name, events.CONVERSATION: session.id, events.APPLICATION: named,
            events.USER: user if isinstance(user, str) else "", "molehunt.request.id": self.request_id,
        }  # fmt: skip
        policy = self.service.policies.digest
        self.service.record("request", request_body(self.dialect, self.endpoint, body, who, facts, policy))
        self.is_recorded = True

    def _judge(self, client: Client, body: Json, session: Session, facts: ModelFacts, served: Served) -> Judge:
        async def hold(tool: str, arguments: str, decision: Decision) -> bool:
            await self.told.flush()  # what was said before need not wait for an operator
            found = await self.service.holds.ask(client.name, tool, arguments, decision, self._ping)
            said = {"molehunt.hold": found.id, "molehunt.hold.decision": found.decision, events.BY: found.by}
            self.service.record("hold", {events.CALL_ID: self.call, **said})
            return found.decision == "allow"

        async def second(tool: str, arguments: str, mode: str) -> bool:
            await self.told.flush()
            return await second_opinion(self.service, self.call, self.endpoint, body, tool, arguments, mode)

        def mark(tags: Iterable[str]) -> None:
            for name in filter(None, (session.id, *session.also)):
                self.service.state.mark(client.name, name, tags)

        return Judge(
            self.service.policies, client, facts, session, common_context(self.endpoint, body),
            note=self._note, hold=hold, mark=mark, second=second,
        )  # fmt: skip

    def _note(self, word: str, more: Mapping[str, Any]) -> None:
        self.service.metrics.decisions.labels(word.partition(":")[0], str(more.get("molehunt.stage", ""))).inc()
        self.service.record("decision", {events.CALL_ID: self.call, events.DECISION: word, **more})

    def _check_model(self, judge: Judge, facts: ModelFacts) -> None:
        decision = judge.model()
        reason = decision.reason
        if facts.standing in REFUSED:
            reason = f"the model {facts.name!r} is {facts.standing} in the approval ledger"
        elif decision.outcome == "allow":
            return
        self._note(f"deny:{facts.name}", {"molehunt.stage": "model", events.REASONS: list(decision.rules)})
        raise Refusal(403, reason or f"policy does not let this client ask the model {facts.name!r}", "model_denied")

    async def _ask(self, upstream: Upstream, served: Served, body: Json) -> Reply:
        headers = {"x-request-id": self.request_id}
        headers |= {RENDERED: "1"} if served.settings.folder else {}
        path = self.endpoint.removeprefix("/v1")
        return await upstream.ask("POST", path, dumped(body), headers)

    # The answer ------------------------------------------------------------------------------------------------------

    async def _pass_error(self, reply: Reply) -> None:
        """An upstream's error as it is; redirects are not followed, since nobody chose where they lead."""
        body = await self._read(reply)
        status = reply.status if reply.status >= 400 else 502
        self.service.record(
            "answer", failed_body(self.call, status, str(reply.status), body[:2000].decode("utf-8", "replace"))
        )
        keep = {k: v for k, v in reply.headers.items() if k in ("content-type", "retry-after")}
        self._unwatch()
        await self.told.answer(status, body, keep)

    async def _whole(self, reply: Reply, judge: Judge, served: Served, session: Session) -> None:
        found = self._parsed((await self._read(reply)).decode("utf-8", "replace"), served)
        answer = await self.dialect.whole(found, judge)
        logged = self.dialect.logged(answer)
        self.service.record("answer", answer_body(self.call, logged, reply.status, judge.denied, None, self.rendered))
        self._remember(logged.id, session)
        self._unwatch()
        await self.told.answer(reply.status, dumped(answer), {"content-type": "application/json"})

    async def _stream(self, reply: Reply, judge: Judge, served: Served, session: Session) -> None:
        reading, stream = Events(self.service.bounds.event), self.dialect.stream(judge)
        self.stream, last, is_done, size = stream, list[Out](), False, 0
        async for piece in reply.body:
            size += len(piece)
            for text in reading.feed(piece):
                if is_done := text.strip() == "[DONE]":
                    break
                for one in await stream.feed(self._parsed(text, served)):
                    self._remember_early(one, session)
                    last.append(one) if one.is_last else self.told.add((one,))
                if self.told.status == 0:
                    await self._begin_stream()
            await self.told.flush()
            if size > self.service.bounds.answer:
                raise Garbage(f"it is larger than {self.service.bounds.answer} bytes")
            if is_done:
                break
        if not (is_done or stream.has_ended):
            self.told.add(await stream.end(is_whole=False))
            raise BrokenOff("it ended before it was whole")
        rest = await stream.end(is_whole=True)
        self.told.add(one for one in rest if not one.is_last)
        await self.told.flush()
        logged = stream.logged()
        self.service.record(
            "answer", answer_body(self.call, logged, reply.status, judge.denied, self.told.first, self.rendered)
        )
        self._remember(logged.id, session)
        self.stream = None
        self._unwatch()
        await self.told.end([*last, *(one for one in rest if one.is_last)])
        with suppress(BrokenOff):  # the client has its answer; a connection that ends well is kept
            async for _ in reply.body:
                pass

    async def _begin_stream(self) -> None:
        """The first event goes out at once, whatever came together with it and has yet to be judged."""
        await self.told.flush()
        if self.told.status:
            await asyncio.sleep(0)  # what is written goes out at the end of a turn of the loop

    def _parsed(self, text: str, served: Served) -> Json:
        try:
            found = parse_json(text, self.service.bounds.depth)
        except ValueError as error:
            raise Garbage(f"no JSON ({error})") from None
        if not isinstance(found, dict):
            raise Garbage("no JSON object")
        told = found.pop("molehunt", None) if served.settings.folder else None
        self.rendered = told if isinstance(told, dict) else self.rendered
        return found

    async def _read(self, reply: Reply) -> bytes:
        pieces, size = [], 0
        async for piece in reply.body:
            size += len(piece)
            if size > self.service.bounds.answer:
                raise Garbage(f"it is larger than {self.service.bounds.answer} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _remember(self, response: str, session: Session) -> None:
        if response and session.id and self.endpoint.endswith("/responses"):
            self.service.state.remember(response, session.client, session.id)

    def _remember_early(self, out: Out, session: Session) -> None:
        """Whoever has seen a response's id can go on from it, however its stream ends."""
        told = out.data.get("response")
        if isinstance(told, dict) and (name := as_word(told.get("id"))) != self._known_as:
            self._known_as = name
            self._remember(name, session)

    # What goes wrong -------------------------------------------------------------------------------------------------

    async def _ping(self) -> None:
        """Keeps a stream alive while an operator is asked."""
        if self.stream is not None:
            await self.told.comment("waiting for an operator")

    async def _refuse(self, refusal: Refusal) -> None:
        """An error in place of the answer; in a stream that has begun, as its last event; nothing after a whole answer."""
        if self.is_over:
            return
        await self.told.flush()
        if self.told.status:
            self._record_interrupted("upstream")
            error = Out(refusal.body(), "error" if not self.dialect.has_done else "")
            await self.told.end([error], is_whole=False)
            return
        if self.is_recorded:
            failed = failed_body(self.call, refusal.status, refusal.code, refusal.message)
            with suppress(Refusal):
                self.service.record("answer", failed | rendered_body(self.rendered))
        response = refusal.response(self.request_id)
        await self.told.answer(refusal.status, bytes(response.body), dict(response.headers))

    def _record_interrupted(self, by: str) -> None:
        """What was sent of an answer that broke off."""
        status = self.told.status or 499
        if not self.is_recorded or (self.told.status and self.stream is None):
            return
        self.service.metrics.interrupted.labels(by).inc()
        body: Json = {
            events.CALL_ID: self.call,
            events.INTERRUPTED: by,
            events.STATUS: status,
            events.OUTPUT: [],
        }
        if self.stream is not None:
            logged = self.stream.logged()
            body |= answer_body(self.call, logged, status, self.denied, self.told.first, self.rendered)
        self.stream = None
        with suppress(Refusal):
            self.service.record("interrupted", body)
