// Difficulty: the step from block to block, and its compact form in headers.
// Rules: DIF-1, HDR-6.

const FRACTION_BITS = 62n;
const LN_2 = 0x2c5c85fdf473de6an;

export const DIFFICULTY_MAX = 2n ** 96n;

export interface Step {
  readonly interval: bigint;
  readonly tau: bigint;
  readonly min: bigint;
}

function divideDown(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

/** `2^(part / whole)` for a proper fraction, with 62 fractional bits. */
function powerOf2(part: bigint, whole: bigint): bigint {
  const x = (LN_2 * part) / whole;
  let sum = 0n;
  let term = 1n << FRACTION_BITS;
  for (let n = 1n; term > 0n; n++) {
    sum += term;
    term = ((term * x) >> FRACTION_BITS) / n;
  }
  return sum;
}

/** `value / 2^by`, rounded to the nearest integer, halves up. */
function shiftNearest(value: bigint, by: bigint): bigint {
  return by <= 0n ? value << -by : (value + (1n << (by - 1n))) >> by;
}

/** DIF-1: the difficulty after a block of difficulty `parent`, `gap` slots behind its own parent. */
export function nextDifficulty(parent: bigint, gap: bigint, step: Step): bigint {
  const exponent = step.interval - gap;
  const doublings = divideDown(exponent, step.tau);
  // So many halvings end below 1 for certain, and so many doublings above the maximum.
  if (doublings < -200n) return step.min;
  if (doublings > 96n) return DIFFICULTY_MAX;
  const factor = powerOf2(exponent - doublings * step.tau, step.tau);
  const next = shiftNearest(parent * factor, FRACTION_BITS - doublings);
  return next < step.min ? step.min : next > DIFFICULTY_MAX ? DIFFICULTY_MAX : next;
}

/** HDR-6: `floor(2^256 / D)`, at most `2^256 - 1`. */
function targetOf(difficulty: bigint): bigint {
  return difficulty === 1n ? 2n ** 256n - 1n : 2n ** 256n / difficulty;
}

/** HDR-6: the compact form of the target, rounded down. */
export function compactTarget(difficulty: bigint): number {
  const target = targetOf(difficulty);
  let size = Math.ceil(target.toString(2).length / 8);
  let mantissa = size <= 3 ? target << BigInt(8 * (3 - size)) : target >> BigInt(8 * (size - 3));
  // The top bit of the mantissa is a sign.
  if (mantissa >= 0x800000n) {
    mantissa >>= 8n;
    size += 1;
  }
  return size * 2 ** 24 + Number(mantissa);
}
