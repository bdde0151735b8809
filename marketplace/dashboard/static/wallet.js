// The browser's wallet: found by EIP-6963, spoken to by EIP-1193. It signs and sends; the page only asks.

import { one, pause } from "./talk.js";

const found = [];
addEventListener("eip6963:announceProvider", (event) => {
  if (!found.some((known) => known.info.uuid === event.detail.info.uuid)) found.push(event.detail);
});
dispatchEvent(new Event("eip6963:requestProvider"));

export const NO_WALLET = "No wallet was found in this browser. Install one, or use the command line: bonded customer --help.";

// All wallets that announced themselves; an old one that only sits at window.ethereum comes last.
export function wallets() {
  if (found.length || !window.ethereum) return found;
  return [{ info: { uuid: "", name: "Wallet of this browser" }, provider: window.ethereum }];
}

// The wallet chosen in the page's list, or the only one.
export function chosen() {
  const all = wallets();
  const wanted = one("[data-wallets]")?.value;
  const wallet = all.find((each) => each.info.uuid === wanted) ?? all[0];
  if (!wallet) throw new Error(NO_WALLET);
  return wallet.provider;
}

// Let the customer choose where there is more than one.
export function listWallets() {
  const list = one("[data-wallets]");
  if (!list) return;
  const fill = () => {
    list.replaceChildren(...wallets().map((each) => new Option(each.info.name, each.info.uuid)));
    list.closest("label").hidden = wallets().length < 2;
  };
  fill();
  addEventListener("eip6963:announceProvider", fill);
}

export async function account(wallet) {
  const [first] = await wallet.request({ method: "eth_requestAccounts" });
  if (!first) throw new Error("The wallet shows this page no account. Open it and connect one.");
  return first;
}

// Refuse to send on another chain: there the same call could do anything.
export async function onChain(wallet, chainId) {
  const wanted = `0x${Number(chainId).toString(16)}`;
  if (Number(await wallet.request({ method: "eth_chainId" })) === Number(chainId)) return;
  await wallet.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
  if (Number(await wallet.request({ method: "eth_chainId" })) !== Number(chainId))
    throw new Error(`The wallet is on another chain. Switch it to chain ${chainId}.`);
}

export function read(wallet, to, data) {
  return wallet.request({ method: "eth_call", params: [{ to, data }, "latest"] });
}

// Send a transaction and wait until it is in a block; an Error when it failed there.
export async function send(wallet, from, to, data, say) {
  const hash = await wallet.request({ method: "eth_sendTransaction", params: [{ from, to, data }] });
  say(`sent as ${hash}, waiting for its block`);
  for (;;) {
    const receipt = await wallet.request({ method: "eth_getTransactionReceipt", params: [hash] });
    if (receipt) {
      if (Number(receipt.status) !== 1) throw new Error(`The transaction ${hash} failed on chain. Nothing was moved.`);
      return { hash, block: Number(receipt.blockNumber) };
    }
    await pause(400);
  }
}

// What went wrong, in words: wallets wrap the reason of the chain in layers.
export function explain(error, refusals = {}) {
  if (error?.code === 4001) return "You declined in your wallet. Nothing was sent.";
  const said = /0x[0-9a-f]{8}/.exec(JSON.stringify([error?.data ?? "", error?.message ?? ""]));
  if (refusals[said?.[0]]) return refusals[said[0]];
  return error?.data?.message ?? error?.message ?? String(error);
}

// Words of the ABI: numbers and addresses as 32 bytes each behind a selector.
const word = (value) => BigInt(value).toString(16).padStart(64, "0");
export const call = (selector, ...values) => selector + values.map(word).join("");

export function text(hex) {
  const bytes = Uint8Array.from(hex.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const length = Number(BigInt("0x" + hex.slice(66, 130)));
  return new TextDecoder().decode(bytes.slice(64, 64 + length));
}

export const hexOf = (string) =>
  "0x" + [...new TextEncoder().encode(string)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
