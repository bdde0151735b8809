"""Speak to a gateway as LangChain and LiteLLM do: `conformance_clients.py BASE_URL KEY MODEL`, in .venv-conformance.

Prints a line for each thing tried, and ends with 1 if one did not come out as it should.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet for prices

import litellm
import openai
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

BASE, KEY, MODEL = sys.argv[1:4]
LITE = {"model": f"openai/{MODEL}", "api_base": BASE, "api_key": KEY, "num_retries": 0}
HELLO = [{"role": "user", "content": "Say hello."}]
TWO = "word0 word1"


def chain(key: str = KEY, **more: Any) -> ChatOpenAI:
    """Return LangChain's chat model before the gateway."""
    return ChatOpenAI(model=MODEL, base_url=BASE, api_key=key, max_tokens=2, max_retries=0, **more)


def langchain_invoke() -> None:
    """A whole answer with its usage."""
    answer = chain().invoke([HumanMessage("Say hello.")])
    assert isinstance(answer, AIMessage) and answer.content == TWO, answer
    assert answer.usage_metadata and answer.usage_metadata["output_tokens"] == 2, answer.usage_metadata


def langchain_stream() -> None:
    """A streamed answer, usage in its last piece."""
    pieces = list(chain(stream_usage=True).stream("Say hello."))
    assert "".join(str(piece.content) for piece in pieces).split() == TWO.split(), pieces
    assert [piece for piece in pieces if piece.usage_metadata], pieces


def langchain_many() -> None:
    """Sixteen at once, asynchronously."""
    answers = asyncio.run(chain().abatch(["Say hello."] * 16))
    assert [answer.content for answer in answers] == [TWO] * 16, answers


def langchain_tools() -> None:
    """Tools are taken, and an engine that calls none answers with text."""

    def weather(city: str) -> str:
        """Look up the weather of a city."""
        return city

    answer = chain().bind_tools([weather]).invoke("Say hello.")
    assert (answer.content, answer.tool_calls) == (TWO, []), answer


def langchain_embeddings() -> None:
    """Vectors."""
    made = OpenAIEmbeddings(model=MODEL, base_url=BASE, api_key=KEY, check_embedding_ctx_length=False)
    assert made.embed_query("hello") == [0.5, 0.25]


def langchain_wrong_key() -> None:
    """A wrong key is the client's own error."""
    try:
        chain("sk-bonded-wrong").invoke("Say hello.")
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error
    else:
        raise AssertionError("it was answered")


def litellm_whole() -> None:
    """A whole answer with its usage."""
    answer = litellm.completion(messages=HELLO, max_tokens=2, **LITE)
    assert answer.choices[0].message.content == TWO and answer.usage.completion_tokens == 2, answer


def litellm_stream() -> None:
    """A streamed answer, usage in its last piece."""
    pieces = list(
        litellm.completion(messages=HELLO, max_tokens=2, stream=True, stream_options={"include_usage": True}, **LITE)
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text.split() == TWO.split(), text
    assert [piece.usage for piece in pieces if getattr(piece, "usage", None)], pieces


def litellm_text() -> None:
    """A text completion."""
    answer = litellm.text_completion(
        prompt="Once", max_tokens=2, model=f"text-completion-openai/{MODEL}", api_base=BASE, api_key=KEY
    )
    assert answer.choices[0].text == TWO, answer


def litellm_embeddings() -> None:
    """Vectors."""
    answer = litellm.embedding(input=["hello"], encoding_format="float", **LITE)
    assert answer.data[0]["embedding"] == [0.5, 0.25], answer


def litellm_wrong_key() -> None:
    """A wrong key is the client's own error."""
    try:
        litellm.completion(messages=HELLO, **(LITE | {"api_key": "sk-bonded-wrong"}))
    except litellm.AuthenticationError:
        return
    raise AssertionError("it was answered")


def litellm_unknown_model() -> None:
    """So is a model that nobody offers."""
    try:
        litellm.completion(messages=HELLO, **(LITE | {"model": "openai/none"}))
    except litellm.NotFoundError:
        return
    raise AssertionError("it was answered")


TRIED: tuple[Callable[[], None], ...] = (
    langchain_invoke, langchain_stream, langchain_many, langchain_tools, langchain_embeddings, langchain_wrong_key,
    litellm_whole, litellm_stream, litellm_text, litellm_embeddings, litellm_wrong_key, litellm_unknown_model,
)  # fmt: skip


def main() -> int:
    """Try everything."""
    failed = 0
    for one in TRIED:
        try:
            one()
        except Exception:
            failed += 1
            sys.stdout.write(f"FAILED {one.__name__}\n{traceback.format_exc()}\n")
        else:
            sys.stdout.write(f"ok     {one.__name__}: {(one.__doc__ or '').strip()}\n")
    sys.stdout.write(f"{len(TRIED) - failed} of {len(TRIED)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
