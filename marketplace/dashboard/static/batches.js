// Upload a file, start its batch, and keep the list fresh while one of them runs.

import { all, ask, one, pause } from "./talk.js";

const form = one("[data-upload]");
const words = one("[data-words]");

// The list is the server's own: fetch the page again and take the list out of it.
async function refresh() {
  const answer = await fetch(location.pathname);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  one("[data-list]").replaceWith(one("[data-list]", fresh));
}

let watching = false;

async function watch() {
  if (watching) return;
  watching = true;
  while (all('[data-open="1"]').length) {
    await pause(1000);
    // a row that somebody is about to use stays as it is
    if (!document.activeElement?.closest("[data-list]")) await refresh();
  }
  watching = false;
}

form.hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = one("button", form);
  button.disabled = true;
  try {
    words.textContent = "Uploading …";
    const sent = new FormData();
    sent.append("purpose", "batch");
    sent.append("file", form.elements.file.files[0]);
    const file = await ask("/v1/files", "POST", sent);
    const order = { input_file_id: file.id, endpoint: form.elements.endpoint.value, completion_window: "24h" };
    const batch = await ask("/v1/batches", "POST", order);
    words.textContent = `Started ${batch.id}. Its lines are checked first; this list follows by itself.`;
    form.reset();
    await refresh();
    watch();
  } catch (error) {
    words.textContent = error.message;
  }
  button.disabled = false;
});
watch();
