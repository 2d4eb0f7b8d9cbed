/**
 * What the text of an option means: counts, durations, sizes, rates, seeds, choices, lists. Each parser takes the
 * option's name for its message, and each has a counterpart that writes the value so that it can be given again.
 */
import { randomInt } from "node:crypto";
import { UsageError } from "./errors.ts";

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
]);
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["K", 2 ** 10],
  ["M", 2 ** 20],
  ["G", 2 ** 30],
]);
const RATE_UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["k", 1000],
  ["M", 1_000_000],
]);
/** A week: longer runs are started again. */
const LONGEST_MS = 7 * 24 * 3_600_000;
const MAX_RATE = 10_000_000;

/** A decimal number and a unit, or undefined. No sign, no exponent, no spaces. */
function quantity(text: string): { readonly number: number; readonly unit: string } | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text);
  return match === null ? undefined : { number: Number(match[1]), unit: match[2] };
}

/** An integer between `min` and `max`. */
export function parseCount(option: string, text: string, min: number, max: number): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(count >= min && count <= max))
    throw new UsageError(`${option} must be an integer from ${min} to ${max}, not '${text}'`);
  return count;
}

/** Milliseconds. A number without unit means seconds. */
export function parseDuration(option: string, text: string): number {
  const parsed = quantity(text);
  const unit = parsed === undefined ? undefined : DURATION_UNITS.get(parsed.unit === "" ? "s" : parsed.unit);
  const ms = parsed === undefined || unit === undefined ? NaN : Math.round(parsed.number * unit);
  if (!(ms >= 1 && ms <= LONGEST_MS)) {
    throw new UsageError(`${option} must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '${text}'`);
  }
  return ms;
}
/** @returns the shortest text that parseDuration reads as `ms`. */
export function formatDuration(ms: number): string {
  for (const unit of ["h", "m", "s"]) {
    const size = DURATION_UNITS.get(unit) ?? 1;
    if (ms % size === 0 && ms > 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** Bytes. Units are powers of 1024, whatever they are called: K, KB and KiB are one. */
export function parseSize(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:([kmg])(?:i?b)?)?$/i.exec(text);
  const unit = match === null ? undefined : SIZE_UNITS.get((match[2] ?? "").toUpperCase());
  const bytes = match === null || unit === undefined ? NaN : Number(match[1]) * unit;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new UsageError(`${option} must be a size such as 512KiB, 64MiB or 1GiB, not '${text}'`);
  }
  return bytes;
}
export function formatSize(bytes: number): string {
  for (const unit of ["G", "M", "K"]) {
    const size = SIZE_UNITS.get(unit) ?? 1;
    if (bytes % size === 0 && bytes > 0) return `${bytes / size}${unit}iB`;
  }
  return String(bytes);
}

/** Events per second; 0 is none. */
export function parseRate(option: string, text: string): number {
  const parsed = quantity(text);
  const unit = parsed && RATE_UNITS.get(parsed.unit);
  const rate = parsed === undefined || unit === undefined ? NaN : Math.round(parsed.number * unit);
  if (!(rate >= 0 && rate <= MAX_RATE)) {
    throw new UsageError(`${option} must be a rate per second such as 0, 500, 20k or 1M, at most 10M, not '${text}'`);
  }
  return rate;
}
export function formatRate(rate: number): string {
  if (rate > 0 && rate % 1_000_000 === 0) return `${rate / 1_000_000}M`;
  return rate >= 1000 && rate % 100 === 0 ? `${rate / 1000}k` : String(rate);
}

/** A 32-bit number, decimal or 0x hexadecimal; drawn anew when there is no text. */
export function parseSeed(option: string, text: string | undefined): number {
  if (text === undefined) return randomInt(1, 2 ** 32 - 1);
  const seed = /^(?:\d{1,10}|0[xX][0-9a-fA-F]{1,8})$/.test(text) ? Number(text) : NaN;
  if (!(seed >= 0 && seed < 2 ** 32)) {
    throw new UsageError(`${option} must be an integer from 0 to 4294967295, not '${text}'`);
  }
  return seed;
}

/** A number from 0 to 1. */
export function parseProbability(option: string, text: string): number {
  const parsed = quantity(text);
  const p = parsed?.unit === "" ? parsed.number : NaN;
  if (!(p >= 0 && p <= 1)) throw new UsageError(`${option} must be a probability from 0 to 1, not '${text}'`);
  return p;
}

/** One of `choices`. */
export function parseChoice<const C extends string>(option: string, text: string, choices: readonly C[]): C {
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw new UsageError(`${option} must be ${either(choices)}, not '${text}'`);
  return choice;
}

/** Some of `choices`, separated by commas, each at most once. */
export function parseList<const C extends string>(option: string, text: string, choices: readonly C[]): readonly C[] {
  const list = text.split(",").map((each) => parseChoice(`each of ${option}`, each, choices));
  refuseRepeats(option, list);
  return list;
}
/** @throws UsageError  a word is there twice */
export function refuseRepeats(option: string, words: readonly string[]): void {
  const twice = words.find((each, i) => words.indexOf(each) !== i);
  if (twice !== undefined) throw new UsageError(`${option} names '${twice}' twice: name it once`);
}

/** "a, b or c" */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
}
