/** Fingerprints change with what they stand for, and with nothing else. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { codeFingerprint, fingerprint } from "../../../src/main/explore/code_fingerprint.ts";
import { configurationFingerprint, describeConfiguration } from "../../../src/main/explore/configuration.ts";
import { withOverrides } from "../../../src/main/explore/overrides.ts";
import { noisyLostUpdate } from "./subjects.ts";

test("four characters that are safe in a URL", () => {
  expect(fingerprint("a")).toMatch(/^[A-Za-z0-9_-]{4}$/);
  expect(fingerprint("a")).not.toBe(fingerprint("b"));
});

test("the code's covers the user's file", () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-"));
  const path = join(folder, "race.ts");
  const after = (text: string): string => {
    writeFileSync(path, text);
    return codeFingerprint(pathToFileURL(path));
  };
  const [first, second, again] = [after("a"), after("b"), after("a")];
  rmSync(folder, { recursive: true });
  expect(first).toBe(again);
  expect(first).not.toBe(second);
  const ours = new URL("../../../src/main/explore/scenario.ts", import.meta.url);
  expect(codeFingerprint(ours)).not.toBe(first);
});

test("the configuration's covers what a schedule depends on", () => {
  const variants = [
    noisyLostUpdate,
    withOverrides(noisyLostUpdate, { nmis: 1 }),
    withOverrides(noisyLostUpdate, { ticks: 1 }),
    withOverrides(noisyLostUpdate, { irqwork_mode: 1 }),
    withOverrides(noisyLostUpdate, { without: [0] }),
    withOverrides(noisyLostUpdate, { without: [5] }),
    { ...noisyLostUpdate, bytes: 1 << 21 },
    { ...noisyLostUpdate, oracle: true },
    { ...noisyLostUpdate, steps: 500 },
  ];
  const found = [
    ...variants.map((each) => configurationFingerprint(each, "sc")),
    configurationFingerprint(variants[0], "tso"),
  ];
  expect(new Set(found).size).toBe(found.length);
  expect(describeConfiguration(noisyLostUpdate, "sc")).toBe("cpus=3+2+1 nmis=2 ticks=0 model=sc kernel=bare");
  // Words at their default, and functions of the same number, are no difference.
  const same = withOverrides({ ...noisyLostUpdate, check: () => undefined }, { tiny: 0 });
  expect(configurationFingerprint(same, "sc")).toBe(found[0]);
});
