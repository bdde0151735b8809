// Check both signatures of a receipt in this page.

import { signer, structHashHex } from "./eip712.js";
import { ask, one } from "./talk.js";

function verdict(name, good, words) {
  const place = one(`[data-verdict="${name}"]`);
  place.textContent = words;
  place.className = good ? "good" : "bad";
  return good;
}

function provider(proof, at) {
  if (proof.provider_signature === "0x") return true;
  const by = signer(proof.domain, proof.receipt_type, proof.receipt, proof.provider_signature);
  if (proof.provider_signers.includes(by))
    return verdict(`provider-${at}`, true, `The signature holds. It was made with ${by}, a key that this provider registered on chain.`);
  return verdict(`provider-${at}`, false, `The signature is not the provider's: it leads to ${by}, which it never registered.`);
}

function gateway(proof, at) {
  const name = `gateway-${at}`;
  const hash = structHashHex(proof.receipt_type, proof.receipt);
  if (hash !== proof.countersignature.receipt)
    return verdict(name, false, `The gateway signed under another receipt, ${proof.countersignature.receipt}; this one is ${hash}.`);
  const by = signer(proof.domain, proof.countersignature_type, proof.countersignature, proof.gateway_signature);
  if (by === proof.gateway) return verdict(name, true, `The signature holds: ${by} countersigned exactly this receipt.`);
  return verdict(name, false, `The signature is not the gateway's: it leads to ${by}.`);
}

one("[data-verify-box]").hidden = false;
one("[data-verify]").addEventListener("click", async (event) => {
  const words = one("[data-words]");
  words.textContent = "Checking …";
  try {
    const { attempts } = await ask(`/api/receipts/${event.target.dataset.job}/proof`);
    const good = attempts.map((proof, at) => [provider(proof, at), gateway(proof, at)].every(Boolean)).every(Boolean);
    words.textContent = good ? "Every signature holds." : "Something is wrong here: see below.";
    words.className = good ? "good" : "bad";
  } catch (error) {
    words.textContent = error.message;
    words.className = "bad";
  }
});
