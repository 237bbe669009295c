// The error of a broken rule: its text opens with the rule's number, and the number can be asked for.
// Rules: none of its own.

export class RuleError extends Error {
  constructor(
    readonly rule: string,
    what: string,
  ) {
    super(`${rule}: ${what}`);
    this.name = "RuleError";
  }
}

export function check(holds: boolean, rule: string, otherwise: string): asserts holds {
  if (!holds) throw new RuleError(rule, otherwise);
}

/** Does something whose broken rules break a wider rule: theirs stay in the text. */
export function within<T>(rule: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof RuleError ? new RuleError(rule, error.message) : error;
  }
}
