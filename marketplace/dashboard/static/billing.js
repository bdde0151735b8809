// Deposit, cap and withdrawal: real transactions, sent by the customer's own wallet, told step by step.

import { all, ask, make, one, pause, units, whole } from "./talk.js";
import { account, call, chosen, explain, listWallets, onChain, read, send, text } from "./wallet.js";

const box = one("[data-money]");
const facts = box.dataset;
const decimals = Number(facts.decimals);
const selector = (name) => facts[`call${name[0].toUpperCase()}${name.slice(1).toLowerCase()}`];
const steps = one("[data-steps]");

function step(words, className) {
  steps.append(make("li", words, className));
  return (more) => (steps.lastElementChild.textContent = `${words}: ${more}`);
}

// One transaction of the account that is signed in.
async function transact(wallet, words, to, data) {
  const say = step(words);
  const done = await send(wallet, facts.customer, to, data, say);
  say(`in block ${done.block}, ${done.hash}`);
  return done.block;
}

async function ready() {
  const wallet = chosen();
  const from = await account(wallet);
  if (from.toLowerCase() !== facts.customer)
    throw new Error(`You are signed in as ${facts.customer}, the wallet shows ${from}. Choose the same account in both.`);
  await onChain(wallet, facts.chain);
  return wallet;
}

async function permitted(wallet, amount) {
  const name = text(await read(wallet, facts.token, selector("name")));
  const nonce = BigInt(await read(wallet, facts.token, call(selector("nonces"), facts.customer)));
  const deadline = BigInt(Math.floor(Date.now() / 1000) + 3600);
  const message = { owner: facts.customer, spender: facts.escrow, value: String(amount), nonce: String(nonce), deadline: String(deadline) };
  const field = (pair) => ({ name: pair.split(" ")[1], type: pair.split(" ")[0] });
  const typed = {
    types: {
      EIP712Domain: ["string name", "string version", "uint256 chainId", "address verifyingContract"].map(field),
      Permit: ["address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline"].map(field),
    },
    primaryType: "Permit",
    domain: { name, version: "1", chainId: Number(facts.chain), verifyingContract: facts.token },
    message,
  };
  step("The permit is signed in your wallet");
  const signature = await wallet.request({ method: "eth_signTypedData_v4", params: [facts.customer, JSON.stringify(typed)] });
  const [r, s, v] = [signature.slice(2, 66), signature.slice(66, 130), signature.slice(130, 132)].map((part) => `0x${part}`);
  return call(selector("depositWithPermit"), facts.customer, amount, deadline, v, r, s);
}

async function deposit(form) {
  const amount = units(form.amount.value, decimals);
  const wallet = await ready();
  const held = BigInt(await read(wallet, facts.token, call(selector("balanceOf"), facts.customer)));
  if (held < amount) throw new Error(`The wallet holds ${whole(held, decimals)} ${facts.symbol}, less than you want to deposit.`);
  const inEscrow = BigInt(one("[data-escrow]").dataset.escrow);
  const cap = form.cap.value ? units(form.cap.value, decimals) : inEscrow + amount;
  let block;
  if (form.how.value === "permit") {
    block = await transact(wallet, "Deposit", facts.escrow, await permitted(wallet, amount));
  } else {
    await transact(wallet, "Approval", facts.token, call(selector("approve"), facts.escrow, amount));
    block = await transact(wallet, "Deposit", facts.escrow, call(selector("deposit"), facts.customer, amount));
  }
  if (cap > BigInt(facts.cap) || form.cap.value)
    block = await transact(wallet, "Spending cap", facts.escrow, call(selector("setCap"), cap));
  return block;
}

const simple = (words, name, ...values) => async () => {
  const wallet = await ready();
  return transact(wallet, words, facts.escrow, call(selector(name), ...values));
};

// Do it, tell what happened, and show the page again once the gateway has seen the block.
async function perform(work) {
  const buttons = all("button", box);
  buttons.forEach((button) => (button.disabled = true));
  steps.replaceChildren();
  try {
    const block = await work();
    step("Waiting until the gateway has read this block. It counts final ones only: minutes, on a public chain");
    while ((await ask("/api/status")).block < block) await pause(500);
    step("Done. The figures above are from before.", "good");
    const again = make("button", "Show the new balance", "plain");
    again.addEventListener("click", () => location.reload());
    steps.append(make("li"));
    steps.lastElementChild.append(again);
    again.focus();
  } catch (error) {
    step(explain(error, JSON.parse(facts.refusals)), "bad");
  }
  buttons.forEach((button) => (button.disabled = false));
}

function onSubmit(selectorOfForm, work) {
  one(selectorOfForm).addEventListener("submit", (event) => {
    event.preventDefault();
    perform(() => work(event.target.elements));
  });
}

listWallets();
box.hidden = false;
onSubmit("[data-deposit]", deposit);
onSubmit("form[data-withdraw]", (form) => simple("Withdrawal", "requestWithdrawal", units(form.amount.value, decimals))());
onSubmit("form[data-cap]", (form) => simple("Spending cap", "setCap", units(form.cap.value, decimals))());
one("[data-take]")?.addEventListener("click", () => perform(simple("Taking out", "withdraw")));
one("[data-keep]")?.addEventListener("click", () => perform(simple("Keeping", "cancelWithdrawal")));
one("[data-compensation]")?.addEventListener("click", () => perform(simple("Compensation", "withdrawCompensation")));
