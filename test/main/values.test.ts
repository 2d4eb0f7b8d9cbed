/** What the texts of options mean, and that what is written is read back as the same. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/main/errors.ts";
import {
  either,
  formatDuration,
  formatRate,
  formatSize,
  parseChoice,
  parseCount,
  parseDuration,
  parseList,
  parseProbability,
  parseRate,
  parseSeed,
  parseSize,
} from "../../src/main/values.ts";

describe("durations", () => {
  test.each([
    ["1ms", 1],
    ["500ms", 500],
    ["10s", 10_000],
    ["10", 10_000],
    ["1.5s", 1500],
    ["2m", 120_000],
    ["168h", 604_800_000],
  ])("%s", (text, ms) => expect(parseDuration("--duration", text)).toBe(ms));

  test.each(["", "s", "0ms", "1 s", "1e3", "+1s", "0x10", "1S", "169h", "Infinity"])("refuses %j", (text) => {
    expect(() => parseDuration("--duration", text)).toThrow(UsageError);
  });
  test.each([1, 500, 1500, 10_000, 90_000, 120_000, 3_600_000])("%i ms are read as they are written", (ms) => {
    expect(parseDuration("--duration", formatDuration(ms))).toBe(ms);
  });
});

describe("sizes", () => {
  test.each([
    ["4096", 4096],
    ["512KiB", 524_288],
    ["512K", 524_288],
    ["64MiB", 67_108_864],
    ["64M", 67_108_864],
    ["64mb", 67_108_864],
    ["1GiB", 1_073_741_824],
    ["0.5GiB", 536_870_912],
  ])("%s", (text, bytes) => expect(parseSize("--memory", text)).toBe(bytes));
  test.each(["", "0", "-1", "1.5", "64MiBs", "64 MiB", "1TiB", "MiB", "64Mi B"])("refuses %j", (text) => {
    expect(() => parseSize("--memory", text)).toThrow(UsageError);
  });
  test.each([4096, 5_000_000, 524_288, 67_108_864, 1_073_741_824])("%i bytes are read as they are written", (bytes) => {
    expect(parseSize("--memory", formatSize(bytes))).toBe(bytes);
  });
});

describe("rates", () => {
  test.each([
    ["0", 0],
    ["500", 500],
    ["20k", 20_000],
    ["1.5k", 1500],
    ["1M", 1_000_000],
  ])("%s", (text, rate) => expect(parseRate("--nmi", text)).toBe(rate));
  test.each([0, 1, 999, 1234, 1500, 20_000, 1_000_000, 1_250_000])("%i is read as it is written", (rate) => {
    expect(parseRate("--nmi", formatRate(rate))).toBe(rate);
  });
  test.each(["", "-1", "k", "1m", "11M"])("refuses %j", (text) => {
    expect(() => parseRate("--nmi", text)).toThrow(UsageError);
  });
});

test("counts", () => {
  expect(parseCount("--cpus", "4", 1, 31)).toBe(4);
  for (const text of ["", "0", "32", "4.0", "0x4", " 4"]) {
    expect(() => parseCount("--cpus", text, 1, 31)).toThrow("--cpus must be an integer from 1 to 31");
  }
});
test("seeds are decimal or hexadecimal, or drawn", () => {
  expect(parseSeed("--seed", "7")).toBe(7);
  expect(parseSeed("--seed", "0xDeadBeef")).toBe(0xdeadbeef);
  expect(parseSeed("--seed", "4294967295")).toBe(0xffffffff);
  expect(() => parseSeed("--seed", "0x123456789")).toThrow(UsageError);
  expect(parseSeed("--seed", undefined)).not.toBe(parseSeed("--seed", undefined));
});
test("probabilities", () => {
  expect(["0", "1", "0.25"].map((text) => parseProbability("spurious", text))).toEqual([0, 1, 0.25]);
  for (const text of ["", "1.1", "-0.1", "1%", ".5"])
    expect(() => parseProbability("spurious", text)).toThrow(UsageError);
});
test("choices and lists", () => {
  expect(parseChoice("--mode", "b", ["a", "b"])).toBe("b");
  expect(parseList("--modes", "b,a", ["a", "b"])).toEqual(["b", "a"]);
  expect(() => parseList("--modes", "a,b,a", ["a", "b"])).toThrow("--modes names 'a' twice");
  expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(either)).toEqual(["", "a", "a or b", "a, b or c"]);
});
