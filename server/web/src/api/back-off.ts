const FIRST_MS = 500;
const LONGEST_MS = 10_000;

/** Delay before the given attempt (from 0): doubling, capped, with up to half of it random. */
export function backOff(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full / 2 + (full / 2) * random());
}
