// What luck explains: wins in a time are Poisson, by the lottery's rule that each quality is a draw of its own.

/** The logarithm of n!, exact for small n, by Stirling's series above. */
function logFactorial(n: number): number {
  if (n < 32) {
    let sum = 0;
    for (let i = 2; i <= n; i++) sum += Math.log(i);
    return sum;
  }
  return n * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI * n) + 1 / (12 * n) - 1 / (360 * n ** 3);
}

/** The fewest and the most wins of which 95 of 100 honest farms with this expectation lie. */
export function band(expected: number): { low: number; high: number } {
  if (!(expected > 0)) return { low: 0, high: 0 };
  if (expected > 10_000) {
    const width = 1.96 * Math.sqrt(expected);
    return { low: Math.floor(expected - width), high: Math.ceil(expected + width) };
  }
  let [below, low, high] = [0, 0, 0];
  for (let n = 0; ; n++) {
    below += Math.exp(n * Math.log(expected) - expected - logFactorial(n));
    if (below < 0.025) low = n + 1;
    if (below >= 0.975 || n > expected + 1_000) {
      high = n;
      return { low, high };
    }
  }
}

/** Seconds that space waits for a block on average: its share of all draws wins its share of all blocks. */
export function secondsToWin(space: number, netspace: number, intervalSeconds: number): number {
  return space > 0 ? (netspace / space) * intervalSeconds : Number.POSITIVE_INFINITY;
}
