/** The package as it is built: the same results as the sources, and reports that still know which module a frame is in. */
import { execFile } from "node:child_process";
import { cpSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { build } from "../../tools/build.ts";

const ROOT = path.join(import.meta.dirname, "../..");
/** Below node_modules, so that it finds what it imports. */
const PACKAGE = path.join(ROOT, "node_modules/.cache/sheaf-build-test");
const DIST = path.join(PACKAGE, "dist");
const TIMEOUT_MS = 120_000;

beforeAll(async () => {
  await build("dist", DIST);
  for (const file of ["bin", "package.json"])
    cpSync(path.join(ROOT, file), path.join(PACKAGE, file), { recursive: true });
}, TIMEOUT_MS);

/** What the command in a folder prints, without times and the fingerprint of the code. */
async function told(folder: string, args: readonly string[]): Promise<string> {
  const command = [path.join(folder, "bin/sheaf.js"), ...args];
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: TIMEOUT_MS });
  return stdout.replaceAll(/\d+(\.\d+)? (s|ms)\b|[\d,]+\/s/g, "TIME").replaceAll(/\bs1\.\S+/g, "TOKEN");
}

test("a race is found, shrunk and reported as from the sources, with coverage", { timeout: TIMEOUT_MS }, async () => {
  const args = ["explore", "--seed", "1", "--schedules", "2000", "--coverage", "full-sheaf-barrier-dfrk-late"];
  const [sources, built] = await Promise.all([told(ROOT, args), told(PACKAGE, args)]);
  expect(built).toBe(sources);
  expect(built).toContain("__kfree_rcu_sheaf");
});
test("what runs at every step lies in one file, and modules pass on what is in it", () => {
  const kernel = readFileSync(path.join(DIST, "kernel.js"), "utf8");
  const parts = ["TracedMemory = class", "function __slab_free(", "BareMemory = class"];
  expect(parts.filter((part) => !kernel.includes(part))).toEqual([]);
  expect(readFileSync(path.join(DIST, "shared/linux/mm/slub/free.js"), "utf8")).not.toContain("function");
});
test("what lies in that file is constant, so that V8 folds it: nothing can be assigned to, and nothing itself is exported", () => {
  const kernel = readFileSync(path.join(DIST, "kernel.js"), "utf8");
  expect(kernel.match(/^(?:async )?function .*|^(?:var|let|class) .*/gm) ?? []).toEqual([]);
  const exported = /^export \{(.*)\};$/m.exec(kernel)?.[1].split(", ") ?? [];
  expect(exported.length).toBeGreaterThan(1000);
  expect(exported.filter((each) => !each.trim().startsWith("export$"))).toEqual([]);
});
test("there is nothing but modules and their types, and no test among them", () => {
  const files = globSync("**/*.*", { cwd: DIST });
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => !/(?<!\.test)(?:\.d\.ts|\.js)$/.test(file))).toEqual([]);
});
test("an installed package knows who has allocated an object", { timeout: TIMEOUT_MS }, async () => {
  const run = ["--config", "debug=U:kmalloc-64", "--duration", "200ms", "--cpus", "1", "--seed", "1"];
  const tracks = await told(PACKAGE, ["sysfs", "kmalloc-64/alloc_traces", ...run]);
  expect(tracks).toMatch(/^ +\d+ \w+ src\/shared\/linux\/[\w/]+\.js:\d+ /m);
});
