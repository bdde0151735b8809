// On a devnet the gateway can act as the wallet of the account that is signed in: its key is public anyway.

const provider = {
  async request({ method, params }) {
    const answer = await fetch("/dashboard/devnet/wallet", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ method, params: params ?? [] }),
    });
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.error?.message ?? `the gateway answered ${answer.status}`);
    return value.result;
  },
};
const info = { uuid: "b0d3d000-0000-4000-8000-000000000001", name: "Devnet account", icon: "data:,", rdns: "local.devnet" };
const announce = () =>
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
addEventListener("eip6963:requestProvider", announce);
announce();
