/**
 * Tokens: one execution as a word that can be pasted into a mail.
 *
 *   s1.SCENARIO[~OVERRIDES].CONFIGURATION.CODE.SCHEDULE.VERDICT.CHECK
 *
 * SCENARIO is a name, or the path of a user's file, with "#name" where that has several; what is not safe in a URL is
 * %-encoded. SCHEDULE is base64url of three numbers for each pick: lane, accesses of that lane since its last pick, choice;
 * each number in groups of 7 bits, low ones first. CONFIGURATION, CODE and VERDICT are fingerprints. CHECK covers all
 * before it: one character that is wrong, or two that have changed places, never pass.
 */
import { UsageError } from "../errors.ts";
import { formatOverrides, type Overrides, parseOverrides } from "./overrides.ts";
import type { Pick, Schedule } from "./strategy.ts";

const VERSION = "1";
/** Fields after the scenario. */
const FIELDS = 5;
const MAX_LANE = 31;
const MAX_CHOICE = 1023;
const MAX_ACCESS = 2 ** 31 - 1;

export interface Token {
  /** As the catalogue knows it. */
  readonly scenario: string;
  readonly overrides: Overrides;
  readonly configuration: string;
  readonly code: string;
  readonly schedule: Schedule;
  readonly verdict: string;
}

export function formatToken(token: Token): string {
  const { scenario, overrides, configuration, code, schedule, verdict } = token;
  const options = formatOverrides(overrides);
  const what = options === "" ? escaped(scenario) : `${escaped(scenario)}~${options}`;
  return withCheck([`s${VERSION}`, what, configuration, code, encodeSchedule(schedule), verdict].join("."));
}
/** A token of its fields. */
export function withCheck(fields: string): string {
  return `${fields}.${checkOf(fields)}`;
}

/** @throws UsageError  says what is wrong with the text */
export function parseToken(text: string): Token {
  const version = /^s(\d+)\./.exec(text)?.[1];
  if (version === undefined) {
    throw new UsageError(`${quoted(text)} is no token: tokens begin with s${VERSION}. and are printed with a failure`);
  }
  if (version !== VERSION) {
    throw new UsageError(`the token has version ${version.slice(0, 9)}, not ${VERSION}: use the sheaf that printed it`);
  }
  const stranger = /[^A-Za-z0-9_+\-/.~%]/u.exec(text);
  if (stranger !== null) {
    throw new UsageError(`the token has ${quoted(stranger[0])} as character ${stranger.index + 1}: copy it again`);
  }
  const parts = text.split(".").slice(1);
  if (parts.length <= FIELDS) throw new UsageError("the token ends too early: copy all of it");
  const [configuration, code, schedule, verdict, check] = parts.slice(-FIELDS);
  if (text !== withCheck(text.slice(0, -check.length - 1))) {
    throw new UsageError("the token is damaged or cut off: its last characters do not fit the rest: copy it again");
  }
  const [name, options = ""] = parts.slice(0, -FIELDS).join(".").split("~");
  const token: Token = {
    scenario: unescaped(name),
    overrides: parseOverrides(options),
    configuration,
    code,
    schedule: decodeSchedule(schedule),
    verdict,
  };
  if (formatToken(token) !== text) throw damaged(); // Two texts for one execution: nobody printed this one.
  return token;
}

function damaged(): UsageError {
  return new UsageError("the token is not one that sheaf prints: copy it again");
}
/** On one line, however long or strange. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 24 ? `${text.slice(0, 24)}...` : text);
}

function escaped(scenario: string): string {
  return scenario.replace(/[^A-Za-z0-9_+\-/.]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}
function unescaped(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    throw damaged();
  }
}

function encodeSchedule(schedule: Schedule): string {
  const bytes: number[] = [];
  const lastAccess = new Map<number, number>();
  for (const { lane, access, choice } of schedule) {
    for (let n of [lane, access - (lastAccess.get(lane) ?? 0), choice]) {
      for (; n > 0x7f; n = Math.floor(n / 0x80)) bytes.push((n & 0x7f) | 0x80);
      bytes.push(n);
    }
    lastAccess.set(lane, access);
  }
  return Buffer.from(bytes).toString("base64url");
}

function decodeSchedule(text: string): Schedule {
  const numbers = decodeNumbers(Buffer.from(text, "base64url"));
  if (numbers.length % 3 !== 0) throw damaged();
  const schedule: Pick[] = [];
  const lastAccess = new Map<number, number>();
  for (let i = 0; i < numbers.length; i += 3) {
    const [lane, accesses, choice] = numbers.slice(i, i + 3);
    const access = (lastAccess.get(lane) ?? 0) + accesses;
    if (lane > MAX_LANE || choice > MAX_CHOICE || access > MAX_ACCESS) throw damaged();
    lastAccess.set(lane, access);
    schedule.push({ lane, access, choice });
  }
  return schedule;
}
function decodeNumbers(bytes: Uint8Array): readonly number[] {
  const numbers: number[] = [];
  let n = 0;
  let unit = 1;
  for (const byte of bytes) {
    n += (byte & 0x7f) * unit;
    unit *= 0x80;
    if (n > MAX_ACCESS) throw damaged();
    if (byte & 0x80) continue;
    numbers.push(n);
    n = 0;
    unit = 1;
  }
  if (unit !== 1) throw damaged(); // The last number is cut off.
  return numbers;
}

/** The largest prime below 64^3. */
const PRIME = 262_139;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** A polynomial over a prime field: no change of one character, nor exchange of neighbours, leaves it as it is. */
function checkOf(text: string): string {
  let sum = 1;
  for (let i = 0; i < text.length; i++) sum = (sum * 131 + text.charCodeAt(i)) % PRIME;
  return [12, 6, 0].map((shift) => DIGITS[(sum >> shift) & 63]).join("");
}
