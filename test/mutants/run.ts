/**
 * Runs planted bugs: each in a copy of the tree with one piece of code replaced, under the driver that should notice.
 * A mutant that survives is a hole in our checks. `npm run mutants [NAME ...]` prints the table.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS, type Driver, type Mutant } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const COPIED = ["src", "test", "bin", "package.json", "vitest.config.ts"];

export interface Outcome {
  readonly caught: boolean;
  /** What the driver said. */
  readonly verdict: string;
  readonly ms: number;
}

/** A copy of the tree with the mutant's replacement made. @throws Error if the code to replace is not there once. */
function plant(mutant: Mutant): string {
  const directory = mkdtempSync(join(tmpdir(), "sheaf-mutant-"));
  for (const part of COPIED) cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
  for (const { file, find, replace } of mutant.edits) {
    const path = join(directory, file);
    const parts = readFileSync(path, "utf8").split(find);
    if (parts.length !== 2)
      throw new Error(`mutant ${mutant.name}: ${file} has the code to replace ${parts.length - 1} times`);
    writeFileSync(path, parts.join(replace));
  }
  return directory;
}

/** Plants a mutant and runs its driver. */
export function runMutant(mutant: Mutant): Outcome {
  const directory = plant(mutant);
  const started = performance.now();
  try {
    const { driver } = mutant;
    const args = commandOf(driver);
    const child = spawnSync(process.execPath, args, { cwd: directory, encoding: "utf8", timeout: 60_000 });
    const ms = Math.round(performance.now() - started);
    if (driver.kind === "test") return { ...judgeTest(child.stdout + child.stderr, child.status), ms };
    const line = child.stdout.trim().split("\n").at(-1) ?? "";
    if (child.error !== undefined)
      return { caught: false, verdict: `timed out or not run: ${child.error.message}`, ms };
    if (!line.startsWith("{")) return { caught: false, verdict: child.stderr.trim().slice(0, 500), ms };
    return { ...judge(line, driver.kind), ms };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
function commandOf(driver: Driver): string[] {
  if (driver.kind === "explore") return ["test/mutants/explore_litmus.ts", driver.litmus];
  if (driver.kind === "test") return ["node_modules/vitest/vitest.mjs", "run", driver.file, "-t", driver.name];
  return ["bin/sheaf.js", "torture", "--json", "--duration", "50s", ...driver.args];
}
/** Only a failed assertion counts: a suite that cannot even be loaded has found nothing. */
function judgeTest(output: string, status: number | null): { caught: boolean; verdict: string } {
  // eslint-disable-next-line no-control-regex
  const plain = output.replaceAll(/\u001B\[[0-9;]*m/g, "");
  const caught = status === 1 && /Tests\s+\d+ failed/.test(plain);
  const message = plain.split("\n").find((line) => /message|Error:/.test(line)) ?? "";
  return { caught, verdict: message.trim() };
}
function judge(line: string, kind: "explore" | "torture"): { caught: boolean; verdict: string } {
  const report = JSON.parse(line) as { failed?: boolean; message?: string; verdict?: string; failures?: unknown[] };
  if (kind === "explore") return { caught: report.failed === true, verdict: report.message ?? "" };
  const first = report.failures?.[0];
  const text = typeof first === "string" ? first : JSON.stringify(first ?? "");
  return { caught: report.verdict === "FAILURE", verdict: `${report.verdict ?? "?"}: ${text}` };
}

function nameOf(driver: Driver): string {
  if (driver.kind === "explore") return `explore ${driver.litmus}`;
  return driver.kind === "test" ? `explore, test "${driver.name}"` : `torture ${driver.args.join(" ")}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !MUTANTS.some((m) => m.name === name));
  if (unknown.length > 0) {
    console.error(`no such mutant: ${unknown.join(", ")}. Known: ${MUTANTS.map((m) => m.name).join(", ")}`);
    process.exit(2);
  }
  let survivors = 0;
  console.log("| bug | driver | caught | seconds | verdict |\n|---|---|---|---|---|");
  for (const mutant of MUTANTS) {
    if (names.length > 0 && !names.includes(mutant.name)) continue;
    const { caught, verdict, ms } = runMutant(mutant);
    if (!caught) survivors++;
    const driver = nameOf(mutant.driver);
    const first = verdict.split("\n")[0]?.slice(0, 160) ?? "";
    console.log(`| ${mutant.what} | ${driver} | ${caught ? "yes" : "NO"} | ${(ms / 1000).toFixed(1)} | ${first} |`);
  }
  process.exitCode = survivors === 0 ? 0 : 1;
}
