// Sign in through the browser's wallet (EIP-1193, found by EIP-6963): ask for a nonce, have the message signed, hand both back.
const button = document.querySelector("[data-wallet]");
const words = document.querySelector("[data-words]");
const wallets = [];

addEventListener("eip6963:announceProvider", (event) => wallets.push(event.detail));
dispatchEvent(new Event("eip6963:requestProvider"));

function say(text) {
  words.textContent = text;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error?.message ?? `the gateway answered ${answer.status}`);
  return value;
}

function message(address, chainId, nonce) {
  return [
    `${location.host} wants you to sign in with your Ethereum account:`,
    address,
    "",
    "Sign in to Bonded. This costs nothing and moves nothing.",
    "",
    `URI: ${location.origin}`,
    "Version: 1",
    `Chain ID: ${chainId}`,
    `Nonce: ${nonce}`,
    `Issued At: ${new Date().toISOString()}`,
  ].join("\n");
}

async function checksummed(wallet, address) {
  // EIP-4361 wants the EIP-55 form; the gateway computes it, so that no keccak has to travel to the browser.
  const answer = await fetch(`/api/checksum/${address}`);
  return (await answer.json()).address;
}

button?.addEventListener("click", async () => {
  const wallet = wallets[0]?.provider ?? window.ethereum;
  if (!wallet) return say("No wallet was found in this browser. Install one, or sign in with `bonded customer keys`.");
  button.disabled = true;
  try {
    const [account] = await wallet.request({ method: "eth_requestAccounts" });
    const address = await checksummed(wallet, account);
    const { nonce } = await post("/api/auth/nonce", {});
    const text = message(address, Number(button.dataset.chain), nonce);
    say("Waiting for your wallet …");
    const signature = await wallet.request({ method: "personal_sign", params: [text, account] });
    await post("/api/auth/session", { message: text, signature });
    location.assign("/dashboard");
  } catch (error) {
    say(error.message ?? String(error));
    button.disabled = false;
  }
});
