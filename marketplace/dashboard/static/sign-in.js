// Sign in with Ethereum: ask for a nonce, have the message signed by the wallet, hand both back.

import { ask, one } from "./talk.js";
import { account, chosen, explain, hexOf, listWallets } from "./wallet.js";

const button = one("[data-wallet]");
const words = one("[data-words]");

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

listWallets();
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const wallet = chosen();
    const from = await account(wallet);
    // EIP-4361 wants the EIP-55 form; the gateway computes it, so that no keccak has to travel to this page.
    const { address } = await ask(`/api/checksum/${from}`);
    const { nonce } = await ask("/api/auth/nonce", "POST", {});
    const said = message(address, Number(button.dataset.chain), nonce);
    words.textContent = "Waiting for your wallet …";
    const signature = await wallet.request({ method: "personal_sign", params: [hexOf(said), from] });
    await ask("/api/auth/session", "POST", { message: said, signature });
    location.assign("/dashboard");
  } catch (error) {
    words.textContent = explain(error);
    button.disabled = false;
  }
});
