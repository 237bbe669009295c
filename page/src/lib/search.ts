// What a text that somebody typed may name, and where that is shown.

export interface Found {
  readonly page: "block" | "tx" | "address" | "farmer";
  readonly argument: string;
}

type Ask = <T>(method: string, params: readonly unknown[]) => Promise<T>;

const HEX = /^[0-9a-f]{64}$/i;
const HEIGHT = /^[\d ,_']{1,12}$/;
const ADDRESS = /^[a-z]{1,20}1[02-9ac-hj-np-z]{6,100}$/i;

async function holds(question: Promise<unknown>): Promise<boolean> {
  return question.then(
    (answer) => answer !== null,
    () => false,
  );
}

async function findId(id: string, ask: Ask): Promise<Found | undefined> {
  if (await holds(ask("getblockheader", [id]))) return { page: "block", argument: id };
  if (await holds(ask("getrawtransaction", [id]))) return { page: "tx", argument: id };
  if (await holds(ask("mass_lastSeal", [id]))) return { page: "farmer", argument: id };
  return undefined;
}

/** Asks the node what it knows; nothing if it knows nothing of it. */
export async function find(text: string, ask: Ask): Promise<Found | undefined> {
  if (HEX.test(text)) return findId(text.toLowerCase(), ask);
  if (HEIGHT.test(text)) {
    const height = Number(text.replaceAll(/[ ,_']/g, ""));
    const id = await ask<string>("getblockhash", [height]).catch(() => undefined);
    return id === undefined ? undefined : { page: "block", argument: id };
  }
  if (!ADDRESS.test(text)) return undefined;
  const checked = await ask<{ isvalid: boolean }>("validateaddress", [text]).catch(() => ({ isvalid: false }));
  return checked.isvalid ? { page: "address", argument: text.toLowerCase() } : undefined;
}
