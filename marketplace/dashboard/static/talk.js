// What every page's script needs of the page and of the gateway: find, say, ask.

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

export function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Ask the gateway as the signed-in customer; a refusal is an Error with the gateway's own sentence.
export async function ask(path, method = "GET", body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined || body instanceof FormData ? {} : { "content-type": "application/json" },
    body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
  });
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

export async function refusal(answer) {
  const value = await answer.json().catch(() => ({}));
  return Object.assign(new Error(value.error?.message ?? `the gateway answered ${answer.status}`), { status: answer.status });
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// 1234567 token units with 6 decimals are "1.234567".
export function whole(units, decimals) {
  const digits = BigInt(units).toString().padStart(decimals + 1, "0");
  const text = `${digits.slice(0, digits.length - decimals)}.${digits.slice(digits.length - decimals)}`;
  return text.replace(/\.?0+$/, "") || "0";
}

// "1.5" with 6 decimals is 1500000n; an Error says what is wrong with anything else.
export function units(text, decimals) {
  const found = /^(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (!found) throw new Error("Write the amount as a number, for example 10 or 0.5.");
  const fraction = found[2] ?? "";
  if (fraction.length > decimals) throw new Error(`This token has ${decimals} decimals.`);
  return BigInt(found[1] + fraction.padEnd(decimals, "0"));
}

// Buttons with data-copy put the text of the element that they name into the clipboard.
addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(one(button.dataset.copy).textContent);
  const label = button.textContent;
  button.textContent = "Copied";
  await pause(1200);
  button.textContent = label;
});
