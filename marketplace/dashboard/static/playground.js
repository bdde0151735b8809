// Ask a model and watch: the answer as it streams, its times as this page measures them, then its receipt and the reason.

import { ask, make, one, pause, refusal, whole } from "./talk.js";

const CLASSES = [
  ["background", "Cheapest: waits up to five minutes for a free place, price decides alone."],
  ["batch", "Cheap: waits up to two minutes, price decides alone."],
  ["standard", "Balanced: price, and a second before the first token is worth 0.0004 of the payment token."],
  ["realtime", "Fast: goes first, and a second before the first token is worth 0.002 of the payment token."],
];
const form = one("[data-ask]").elements;
const answer = one("[data-answer]");
const words = one("[data-words]");
const stop = one("[data-stop]");
const show = (name, text) => (one(`[data-${name}]`).textContent = text);
let running = null;

function serviceClass() {
  return CLASSES[Number(form.speed.value)];
}

function body() {
  return {
    model: form.model.value,
    messages: [{ role: "user", content: form.prompt.value }],
    max_tokens: Number(form.most.value),
    stream: true,
    stream_options: { include_usage: true },
  };
}

function snippets() {
  const [name, about] = serviceClass();
  form.speed.setAttribute("aria-valuetext", name);
  show("speed-words", `${name}. ${about}`);
  const base = one("#as-curl").dataset.base;
  const { stream_options, ...simple } = body();
  const quoted = JSON.stringify(simple, null, 2).replaceAll("'", "'\\''");
  one("#as-curl").textContent =
    `curl -N ${base}/v1/chat/completions \\\n  -H "Authorization: Bearer $BONDED_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${quoted}'`;
  one("#as-openai").textContent = [
    "import os",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base}/v1", api_key=os.environ["BONDED_API_KEY"])`,
    "stream = client.chat.completions.create(",
    `    model=${JSON.stringify(simple.model)},`,
    `    messages=[{"role": "user", "content": ${JSON.stringify(form.prompt.value)}}],`,
    `    max_tokens=${simple.max_tokens},`,
    "    stream=True,",
    ")",
    "for chunk in stream:",
    '    print(chunk.choices[0].delta.content or "", end="", flush=True)',
  ].join("\n");
}

// One key a class, made when it is first needed and kept in this tab; making one ends the one before.
async function key(name, fresh) {
  const kept = `bonded playground ${name}`;
  if (fresh || !sessionStorage.getItem(kept))
    sessionStorage.setItem(kept, (await ask("/api/playground/key", "POST", { service_class: name })).key);
  return sessionStorage.getItem(kept);
}

async function request(signal) {
  const [name] = serviceClass();
  const send = async (fresh) =>
    fetch("/v1/chat/completions", {
      method: "POST",
      headers: { authorization: `Bearer ${await key(name, fresh)}`, "content-type": "application/json" },
      body: JSON.stringify(body()),
      signal,
    });
  let got = await send(false);
  if (got.status === 401) got = await send(true);
  if (!got.ok) throw await refusal(got);
  return got;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6).trim();
  }
}

async function listen(got, began) {
  let first = 0, pieces = 0, usage = null, ended = false;
  for await (const event of events(got.body)) {
    if (event === "[DONE]") { ended = true; break; }
    const value = JSON.parse(event);
    if (value.error) throw new Error(value.error.message);
    usage = value.usage ?? usage;
    const text = value.choices?.[0]?.delta?.content;
    if (!text) continue;
    const now = performance.now();
    first ||= now;
    pieces += 1;
    answer.append(text);
    show("ttft", `${Math.round(first - began)} ms`);
    show("tokens", String(pieces));
    if (now > first) show("pace", ((pieces - 1) / ((now - first) / 1000)).toFixed(1));
  }
  if (!ended) throw new Error("The answer broke off. What was delivered is above; the receipt says what it cost.");
  if (usage) show("tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`);
}

// The receipt is in the books a moment after the answer.
async function receipt(job) {
  for (let tries = 0; tries < 40; tries += 1) {
    try {
      return (await ask(`/api/receipts/${job}`)).receipts.at(-1);
    } catch (error) {
      if (error.status !== 404) throw error;
      await pause(150);
    }
  }
  throw new Error("The receipt is not in the books yet; it will be on the receipts' page.");
}

async function settle(job) {
  const paid = await receipt(job);
  show("price", whole(paid.charge_atto, 18));
  const provider = one("[data-provider]");
  const link = make("a", `${paid.provider.slice(0, 8)}…${paid.provider.slice(-4)}`);
  link.href = `/dashboard/providers/${paid.provider}`;
  provider.replaceChildren(link);
  const proof = make("a", "receipt and signatures");
  proof.href = `/dashboard/receipts/${job}`;
  one("[data-receipt]").replaceChildren(proof);
  reasons(await ask(`/api/receipts/${job}/why`), paid.provider);
}

function reasons(why, served) {
  const millionths = (atto) => (Number(BigInt(atto) / 1000000n) / 1e6).toFixed(3);
  const others = why.candidates.length - 1;
  one("[data-why-words]").textContent =
    `Chosen by ${why.rule} among ${why.candidates.length} that could serve` +
    (why.barred ? `; ${why.barred} more were looked at and could not.` : ".") +
    (served === why.chosen ? "" : ` The chosen one failed before its first byte, so ${served} served.`) +
    (others ? "" : " There was nobody else to compare with.");
  one("[data-candidates]").replaceChildren(
    ...why.candidates.map((each) => {
      const row = make("tr");
      const cells = [
        ["Provider", `${each.provider.slice(0, 8)}…${each.provider.slice(-4)}`],
        ...["total", "price", "ttft", "pace", "miss", "failure", "curiosity"].map((part) => [part, millionths(each[`${part}_atto`])]),
        ["Expected ttft", `${each.ttft_ms} ms`],
        ["Success", `${(each.success_ppm / 10000).toFixed(1)} %`],
      ];
      for (const [label, text] of cells) {
        const cell = make("td", text, label === "Provider" ? "mono" : "n");
        cell.dataset.label = label;
        row.append(cell);
      }
      return row;
    }),
  );
  one("[data-why]").hidden = false;
}

one("[data-ask]").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  stop.disabled = false;
  answer.textContent = "";
  answer.setAttribute("aria-busy", "true");
  one("[data-why]").hidden = true;
  one("[data-receipt]").replaceChildren();
  for (const name of ["ttft", "pace", "tokens", "price", "provider"]) show(name, "–");
  words.textContent = "Waiting for the first token …";
  const began = performance.now();
  let job = null;
  try {
    const got = await request(running.signal);
    job = got.headers.get("x-bonded-job");
    await listen(got, began);
    words.textContent = "";
  } catch (error) {
    words.textContent = error.name === "AbortError" ? "Stopped. What was delivered is paid, no more." : error.message;
  }
  answer.setAttribute("aria-busy", "false");
  stop.disabled = true;
  if (job) await settle(job).catch((error) => (words.textContent = error.message));
  running = null;
});
one("[data-ask]").hidden = false;
stop.addEventListener("click", () => running?.abort());
one("[data-ask]").addEventListener("input", snippets);
snippets();
