// JSON whose integers stay what they are: those that a double does not hold are BigInts.

interface Context {
  readonly source?: string;
}

function exact(_: string, value: unknown, context?: Context): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || context?.source === undefined) return value;
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/** Reads JSON. Browsers that do not show a number's digits to the reader give the nearest double. */
export function parse(text: string): unknown {
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}
