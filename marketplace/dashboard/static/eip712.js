// Hash a message as EIP-712 does and say who signed it, with nothing of the gateway's but the numbers.

import { recoverPublicKey } from "./vendor/noble-secp256k1/index.js";
import { keccak_256 } from "./vendor/noble-hashes/sha3.js";

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.replace(/^0x/, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));

function join(parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

// One value as its 32 bytes. Integers come as decimal strings, because they may exceed what a number here can hold.
function word(kind, value) {
  if (kind === "string") return keccak_256(utf8(value));
  if (kind === "bytes32") {
    if (!/^0x[0-9a-f]{64}$/.test(value)) throw new Error(`${value} is not 32 bytes`);
    return bytes(value);
  }
  if (kind === "address") {
    if (!/^0x[0-9a-f]{40}$/.test(value)) throw new Error(`${value} is no address`);
    return bytes(value.slice(2).padStart(64, "0"));
  }
  const size = /^uint(\d+)$/.exec(kind);
  if (!size || !/^\d+$/.test(value) || BigInt(value) >> BigInt(size[1])) throw new Error(`${value} is no ${kind}`);
  return bytes(BigInt(value).toString(16).padStart(64, "0"));
}

// keccak(typeHash ‖ fields): `type` is the message's EIP-712 type as it is hashed, `message` its fields by name.
export function structHash(type, message) {
  const fields = type.slice(type.indexOf("(") + 1, -1).split(",").map((field) => field.split(" "));
  return keccak_256(join([keccak_256(utf8(type)), ...fields.map(([kind, name]) => word(kind, message[name]))]));
}

export const structHashHex = (type, message) => `0x${hex(structHash(type, message))}`;

// The address whose key signed this message in this domain.
export function signer(domain, type, message, signature) {
  const raw = bytes(signature);
  if (raw.length !== 65) throw new Error("a signature has 65 bytes");
  const digest = keccak_256(join([bytes("1901"), structHash(DOMAIN, domain), structHash(type, message)]));
  const recovered = Uint8Array.of(raw[64] - 27, ...raw.slice(0, 64));
  const key = recoverPublicKey(recovered, digest, { prehash: false, isCompressed: false });
  return `0x${hex(keccak_256(key.slice(1)).slice(12))}`;
}
