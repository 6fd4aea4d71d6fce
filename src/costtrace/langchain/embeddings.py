"""CostEmbeddings: an embedding model whose every request is recorded.

LangChain reports nothing of embeddings to callbacks, and its integrations throw the provider's usage away. So the
client inside the model is watched, on a copy of the model. Each request to the provider is an entry of its own: it is
billed on its own, and of ten requests nine may have been paid when the tenth fails. Where it is not known how to watch
a model, each call of it is recorded as one whose usage is missing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from langchain_core.embeddings import Embeddings

from costtrace.entry import Kind, Status
from costtrace.langchain.belonging import message_of
from costtrace.langchain.current_run import current_config, run_of
from costtrace.langchain.embedding_models import (
    Integration,
    dimensions,
    failure,
    integration_of,
    model_name,
    unwatched,
)
from costtrace.langchain.handler import CostCallbackHandler
from costtrace.langchain.results import Answer
from costtrace.langchain.runs import Call
from costtrace.recorder import Recorder
from costtrace.tracing.names import EMBEDDINGS

T = TypeVar("T")


class CostEmbeddings(Embeddings):
    """Embeds as the given model does, and records each request under the message it belongs to.

        embeddings = costtrace.CostEmbeddings(OpenAIEmbeddings(model="text-embedding-3-small"), recorder)
        store = InMemoryVectorStore(embeddings)

    The model that is given stays as it is, and unwatched. Usage is read from the answers for langchain-openai (OpenAI
    and Azure), langchain-mistralai, langchain-aws (Bedrock) and, where Google reports it, langchain-google-genai; the
    calls of other models are recorded with their usage missing, so that totals say that they are incomplete. Wrapped
    twice for one ledger, a model records once. Without a recorder, one is made from the environment.
    """

    def __init__(self, embeddings: Embeddings, recorder: Recorder | None = None) -> None:
        wrapped = embeddings if isinstance(embeddings, CostEmbeddings) else None
        self.model: Embeddings = embeddings if wrapped is None else wrapped.model
        """The model itself, unwatched."""
        handler = CostCallbackHandler(recorder)
        known = {} if wrapped is None else wrapped.handlers
        self.handlers: Mapping[str, CostCallbackHandler] = {handler.recorder.ledger.name: handler, **known}
        """Who records, by the name of the ledger."""
        integration = integration_of(self.model)
        self._asked = self.model
        self._outside: list[_Requests] = []
        for each in self.handlers.values():
            if integration is None:
                self._outside.append(_Requests(each, self.model, unwatched(self.model), {}))
            else:
                self._asked = _with_watched_clients(self._asked, integration, each)

    def embed_documents(self, texts: list[str], *args: Any, **kwargs: Any) -> list[list[float]]:
        """Embed the texts; further arguments are the model's own."""
        vectors: list[list[float]] = self._ask(self._asked.embed_documents, texts, *args, **kwargs)
        return vectors

    def embed_query(self, text: str, *args: Any, **kwargs: Any) -> list[float]:
        """Embed a text that is searched for; further arguments are the model's own."""
        vector: list[float] = self._ask(self._asked.embed_query, text, *args, **kwargs)
        return vector

    async def aembed_documents(self, texts: list[str], *args: Any, **kwargs: Any) -> list[list[float]]:
        """Embed the texts; further arguments are the model's own."""
        vectors: list[list[float]] = await self._ask(self._asked.aembed_documents, texts, *args, **kwargs)
        return vectors

    async def aembed_query(self, text: str, *args: Any, **kwargs: Any) -> list[float]:
        """Embed a text that is searched for; further arguments are the model's own."""
        vector: list[float] = await self._ask(self._asked.aembed_query, text, *args, **kwargs)
        return vector

    def _ask(self, embed: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for requests in self._outside:
            embed = functools.partial(requests.ask, embed)
        return embed(*args, **kwargs)


def _with_watched_clients(model: Any, integration: Integration, handler: CostCallbackHandler) -> Embeddings:
    """A copy of the model, a pydantic one, that asks through clients which are watched."""
    watched = {}
    for name in integration.clients:
        client = getattr(model, name, None)
        if client is not None:
            requests = _Requests(handler, model, integration, integration.price_context(model, client))
            watched[name] = _Watched(client, integration.paths, requests)
    copy: Embeddings = model.model_copy(update=watched)
    return copy


class _Watched:
    """A client, or a part of one, that is as it was but for the requests it makes."""

    __slots__ = ("_costtrace_inside",)

    def __init__(self, target: Any, paths: frozenset[str], requests: _Requests, path: str = "") -> None:
        self._costtrace_inside = (target, paths, requests, path)

    def __getattr__(self, name: str) -> Any:
        if name == "_costtrace_inside":  # not made yet: somebody copies or unpickles it
            raise AttributeError(name)
        target, paths, requests, path = self._costtrace_inside
        value = getattr(target, name)
        here = f"{path}{name}"
        if here in paths:
            return functools.partial(requests.ask, value)
        if any(longer.startswith(f"{here}.") for longer in paths):
            return _Watched(value, paths, requests, f"{here}.")
        return value


class _Requests:
    """Makes the requests of one client of one model, and records each."""

    def __init__(
        self,
        handler: CostCallbackHandler,
        embeddings: Embeddings,
        integration: Integration,
        price_context: Mapping[str, str],
    ) -> None:
        self._handler = handler
        self._recorder = handler.recorder
        self._integration = integration
        self._price_context = price_context
        self._model = model_name(embeddings)
        length = dimensions(embeddings)
        self._details: Mapping[str, Any] = {} if length is None else {"dimensions": length}

    def ask(self, request: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The answer to the request, or an awaitable of it; what it raises is raised."""
        begun = self._begin()
        try:
            answer = request(*args, **kwargs)
        except BaseException as error:
            self._end(begun, functools.partial(failure, error))
            raise
        if inspect.isawaitable(answer):
            return self._await(begun, answer)
        self._end(begun, functools.partial(self._integration.read, answer))
        return answer

    async def _await(self, begun: Call | None, answering: Awaitable[T]) -> T:
        try:
            answer = await answering
        except BaseException as error:
            self._end(begun, functools.partial(failure, error))
            raise
        self._end(begun, functools.partial(self._integration.read, answer))
        return answer

    def _begin(self) -> Call | None:
        try:
            return self._begun()
        except Exception:  # noqa: BLE001 - the application asked for vectors, and gets them
            self._recorder.fault("beginning to record an embedding")
            return None

    def _begun(self) -> Call:
        config, recording = current_config(), self._handler.recording
        own_id, parent_run_id = uuid4(), run_of(config)
        parent = recording.runs.chain(parent_run_id)
        call = Call(
            own_id,
            parent_run_id,
            *message_of(config.get("metadata") or {}, parent, own_id),
            start_ns=self._recorder.clock(),
            provider=self._integration.provider,
            model=self._model,
            asked=None,
            recorder=self._recorder,
            operation=EMBEDDINGS,
        )
        if recording.spans.wanted(parent):
            recording.spans.begin_call(call, parent)
        return call

    def _end(self, begun: Call | None, read: Callable[[], Answer]) -> None:
        if begun is None:
            return
        try:
            self._record(begun, self._read(read))
        except Exception:  # noqa: BLE001 - the application asked for vectors, and gets them
            self._recorder.fault("recording an embedding")

    def _read(self, read: Callable[[], Answer]) -> Answer:
        """What the answer says; one that cannot be read must not cost us the entry."""
        try:
            return read()
        except Exception:  # noqa: BLE001 - an answer may come from any version of any client
            self._recorder.fault("reading the usage of an embedding")
            return Answer(Status.COMPLETED, None)

    def _record(self, begun: Call, answer: Answer) -> None:
        details = {**self._details, "message_from": "run"} if begun.source == "run" else dict(self._details)
        if answer.note:
            details["usage"] = answer.note
        if begun.parent_run_id is not None:
            details["parent_run_id"] = str(begun.parent_run_id)
        entry = self._recorder.record_call(
            kind=Kind.EMBEDDING,
            run_id=str(begun.run_id),
            message_uuid=begun.message_uuid,
            context=begun.context,
            status=answer.status,
            start_us=begun.start_ns // 1000,
            duration_us=max(self._recorder.clock() - begun.start_ns, 0) // 1000,
            provider=self._integration.provider,
            model=answer.model or self._model,
            requested_model=self._model,
            service_tier=None,
            usage=answer.usage,
            refused=answer.refused,
            error=answer.error,
            span=begun.span,
            price_context=self._price_context,
            details=details,
        )
        if begun.place is not None:
            begun.place.bill.add(entry)
