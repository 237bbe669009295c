// Quantities as people read them. Amounts are exact; nothing that comes from a chain is more than text.

import { tongue } from "./words.svelte";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"];

/** A whole number with its thousands apart. */
export function whole(value: number | bigint | string): string {
  const digits = typeof value === "number" ? Math.trunc(value) : BigInt(value);
  return digits.toLocaleString(tongue.name);
}

export function decimal(value: number, digits: number): string {
  // Zero has no sign, whatever arithmetic made it.
  return (value === 0 ? 0 : value).toLocaleString(tongue.name, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A large number in a few digits. */
export function compact(value: number): string {
  return value.toLocaleString(tongue.name, { notation: "compact", maximumFractionDigits: 2 });
}

/** Bytes in the binary units of disks. */
export function bytes(value: number | bigint | string): string {
  let scaled = Number(value);
  let unit = 0;
  while (scaled >= 1024 && unit < UNITS.length - 1) [scaled, unit] = [scaled / 1024, unit + 1];
  return `${decimal(scaled, unit === 0 ? 0 : 2)} ${UNITS[unit]}`;
}

/** A share as percent, with enough digits that a small one is not zero. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  if (share === 0) return "0 %";
  const digits = share >= 0.1 ? 1 : share >= 0.001 ? 2 : 4;
  return `${decimal(share * 100, digits)} %`;
}

/** Whole units of a coin, from its smallest ones. */
export function coinsOf(units: number | bigint | string, decimals = 7): string {
  const all = BigInt(units);
  const sign = all < 0n ? "-" : "";
  const digits = (all < 0n ? -all : all).toString().padStart(decimals + 1, "0");
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** An amount that JSON carries as a number of coins, in full. */
export function coinText(value: number | string, decimals = 7): string {
  return typeof value === "string" ? value : value.toFixed(decimals);
}

/** The smallest units that a person's input means; nothing if it is no amount. */
export function unitsOf(text: string, decimals = 7): bigint | undefined {
  const found = /^(\d{1,12})(?:[.](\d*))?$/.exec(text.trim().replaceAll(/[ ,_']/g, ""));
  if (found === null || (found[2] ?? "").length > decimals) return undefined;
  return BigInt(found[1] + (found[2] ?? "").padEnd(decimals, "0"));
}

/** A span of time in its two largest parts. */
export function span(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  const parts: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const whole = Math.max(0, Math.round(seconds));
  if (whole >= 365 * 86_400) return `${decimal(whole / (365.25 * 86_400), 1)} y`;
  const at = parts.findIndex(([size]) => whole >= size);
  if (at < 0) return "0 s";
  const [size, unit] = parts[at];
  const first = `${Math.floor(whole / size)} ${unit}`;
  const next = parts[at + 1];
  const rest = next === undefined ? 0 : Math.floor((whole % size) / next[0]);
  return rest === 0 || next === undefined ? first : `${first} ${rest} ${next[1]}`;
}

export function clock(unix: number): string {
  return new Date(unix * 1000).toLocaleTimeString(tongue.name, { hour12: false });
}

export function dateTime(unix: number): string {
  return new Date(unix * 1000).toLocaleString(tongue.name, { hour12: false });
}

export function milliseconds(value: number | null): string {
  if (value === null) return "–";
  return value >= 1_000 ? `${decimal(value / 1_000, 2)} s` : `${decimal(value, value < 10 ? 1 : 0)} ms`;
}

/** The ends of a long id. */
export function brief(id: string, ends = 8): string {
  return id.length <= 2 * ends + 1 ? id : `${id.slice(0, ends)}…${id.slice(-ends)}`;
}

/** Bytes in hex as the text that they may be; what is no UTF-8 or no printable sign is shown as such. */
export function textOf(hex: string): string {
  const pairs = hex.match(/../g) ?? [];
  const bytes = Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
  // Signs that steer the display (controls, direction marks) would change what stands around them.
  return new TextDecoder().decode(bytes).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu, "\u{fffd}");
}
