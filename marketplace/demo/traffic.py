"""Two customers with the unmodified `openai` client, sending chat requests at random moments, streamed and not."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import openai
from openai.types.chat import ChatCompletionMessageParam

_PROMPTS = (
    "Say hello in five words.",
    "Name a colour and a fruit of that colour.",
    "What is the capital of Norway?",
    "Write one short line about the sea.",
    "Count from one to seven.",
    "Give me a name for a small boat.",
    "Finish the sentence: the early bird",
    "What do bees make?",
)


@dataclass
class Tally:
    """What became of one customer's requests.

    `broken`: an explicit error in the middle of a stream; `refused`: an error before any byte.
    """

    name: str
    sent: int = 0
    streamed: int = 0
    answered: int = 0
    broken: int = 0
    refused: int = 0
    silent: int = 0
    characters: int = 0
    errors: list[str] = field(default_factory=list)


async def send_one(client: openai.AsyncOpenAI, tally: Tally, model: str, stream: bool, rng: random.Random) -> None:
    """Send one request and tally its end.

    A stream that ends without finish_reason and without an error counts as silent.
    """
    tally.sent += 1
    tally.streamed += stream
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": rng.choice(_PROMPTS)}]
    most = rng.randint(8, 20)
    started = False
    try:
        if stream:
            finished = False
            answer = await client.chat.completions.create(
                model=model,
                messages=messages,
                max_tokens=most,
                stream=True,
            )
            async for chunk in answer:
                started = True
                for choice in chunk.choices:
                    tally.characters += len(choice.delta.content or "")
                    finished = finished or choice.finish_reason is not None
            tally.answered += finished
            tally.silent += not finished
        else:
            whole = await client.chat.completions.create(model=model, messages=messages, max_tokens=most)
            tally.characters += len(whole.choices[0].message.content or "")
            tally.answered += 1
    except openai.OpenAIError as error:
        if started:
            tally.broken += 1
        else:
            tally.refused += 1
        tally.errors.append(f"{type(error).__name__}: {error}")


async def customer(
    client: openai.AsyncOpenAI, tally: Tally, model: str, until: float, mean_gap_s: float, seed: int
) -> None:
    """Send requests at exponential gaps until a loop time, every second one streamed, and wait for the last to end."""
    rng = random.Random(seed)
    clock = asyncio.get_running_loop().time
    async with asyncio.TaskGroup() as group:
        while clock() < until:
            group.create_task(send_one(client, tally, model, tally.sent % 2 == 0, rng))
            await asyncio.sleep(min(rng.expovariate(1 / mean_gap_s), 4 * mean_gap_s))


async def long_streams(client: openai.AsyncOpenAI, model: str, count: int) -> list[str]:
    """Hold `count` long streams open at once; returns how each ended: `complete`, `silent`, or the error's name."""

    async def one() -> str:
        finished = False
        try:
            answer = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Tell me a long story about a lighthouse."}],
                max_tokens=96,
                stream=True,
            )
            async for chunk in answer:
                finished = finished or any(choice.finish_reason is not None for choice in chunk.choices)
        except openai.OpenAIError as error:
            return type(error).__name__
        return "complete" if finished else "silent"

    return list(await asyncio.gather(*[one() for _ in range(count)]))
