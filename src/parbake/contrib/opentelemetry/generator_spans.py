"""A span for each call of a generator, after the conventions of OpenTelemetry for generative AI."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context

from parbake.ports.usage import Usage, is_generator
from parbake.tasks.task_types import Task


class GeneratorSpans:
    """Wraps the generators that tasks get."""

    def __init__(self, tracer: Tracer) -> None:
        """Wrap nothing yet."""
        self._tracer = tracer

    def wrap(self, found: Any, task: Task, lane: str) -> Any:
        """Return a resource, traced if it is a generator; of a chain, each member is.

        Args:
            found: The resource.
            task: The task that gets it.
            lane: The lane that computes the task.
        """
        if not is_generator(found):
            return found
        made = partial(TracedGenerator, task=task.name, lane=lane, tracer=self._tracer)
        wrapped: Callable[..., Any] | None = getattr(found, "wrapped", None)
        return made(found) if wrapped is None else wrapped(made)


class TracedGenerator:
    """A generator whose calls have spans. Neither prompts nor replies are recorded."""

    def __init__(self, generator: Any, *, task: str, lane: str, tracer: Tracer) -> None:
        """Wrap one for the time of a computation.

        Args:
            generator: The generator.
            task: The task that is computed.
            lane: The lane that computes it.
            tracer: Makes the spans.
        """
        self._generator, self._tracer = generator, tracer
        self._attributes = {"parbake.task": task, "parbake.lane": lane}

    def __getattr__(self, name: str) -> Any:
        """What else it has is the generator's own."""
        return getattr(self._generator, name)

    def stream(self, prompt: Any, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Any]:
        """Stream a reply, within a span if what asks for it is traced.

        Args:
            prompt: What the model is sent.
            max_tokens: The length at which the reply is cut off.
            timeout_s: The seconds after which the request fails.
        """
        start = partial(self._generator.stream, prompt, max_tokens=max_tokens, timeout_s=timeout_s)
        return self._traced(start, max_tokens) if get_current_span().is_recording() else start()

    async def _traced(self, start: Callable[[], Any], max_tokens: int) -> AsyncGenerator[Any, None]:
        span = self._begun(max_tokens)
        try:
            with _current(span):  # the request is sent before the first piece arrives
                pieces = aiter(start())
                delta = await anext(pieces, None)
            while delta is not None:
                if delta.usage is not None:
                    span.set_attributes(_tokens(delta.usage))
                yield delta
                delta = await anext(pieces, None)
        except Exception as error:
            span.set_attribute("error.type", str(getattr(error, "kind", "") or type(error).__name__))
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def _begun(self, max_tokens: int) -> Span:
        name = str(self._generator.name)
        model = str(getattr(self._generator, "model", "") or name)
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": str(getattr(self._generator, "provider", "") or name),
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": max_tokens,
            **self._attributes,
        }
        return self._tracer.start_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes)


@contextlib.contextmanager
def _current(span: Span) -> Iterator[None]:
    token = attach(set_span_in_context(span))
    try:
        yield
    finally:
        detach(token)


def _tokens(usage: Usage) -> dict[str, int]:
    written = [count for count in (usage.cache_write, usage.cache_write_hour) if count is not None]
    found = {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": sum(written) if written else None,
    }
    return {name: count for name, count in found.items() if count is not None}
