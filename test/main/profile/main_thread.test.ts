/** A run with CPU 0 on the main thread; and what `npm run flame` shows of it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { ALLOCATOR, clinicMissing, functionsOf } from "./pages.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN_THREAD = join(ROOT, "src/main/profile/main_thread.ts");
const OPTIONS = ["--cpus", "2", "--duration", "3s", "--seed", "1", "--memory", "8MiB"];

function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-flame-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}
function run(command: string, args: readonly string[], cwd: string) {
  return spawnSync(command, args, { cwd, encoding: "utf8", timeout: 250_000 });
}

test("CPU 0's allocator functions are in the main thread's profile", () => {
  const folder = tempFolder();
  const args = ["--cpu-prof", "--cpu-prof-name=main.${tid}.cpuprofile", MAIN_THREAD, ...OPTIONS];
  const { status, stdout, stderr } = run(process.execPath, args, folder);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  const [main] = readdirSync(folder);
  const text = readFileSync(join(folder, main), "utf8");
  for (const name of ALLOCATOR) expect(text).toContain(`"functionName":"${name}"`);
});
test("bad input is one line, 2", () => {
  const { status, stderr } = run(process.execPath, [MAIN_THREAD, "--seed", "x"], ROOT);
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: "flame: --seed must be an integer from 0 to 4294967295, not 'x'\n",
  });
});
test("a machine that is too small is one line, 2", () => {
  const args = [MAIN_THREAD, "--cpus", "4", "--memory", "1MiB", "--config", "partitions=15,numa=4"];
  const { status, stderr } = run(process.execPath, args, ROOT);
  expect(stderr).toMatch(/^flame: --memory 1MiB is too small for --cpus 4 --config .*: give a larger --memory\n$/);
  expect(status).toBe(2);
});
// Why again: of the logs that V8 writes for each thread, clinic now and then takes one that is not the main thread's.
test("npm run flame: a page of the compiled program", { timeout: 300_000, retry: 2 }, ({ skip }) => {
  const missing = clinicMissing();
  if (missing !== undefined) skip(missing);
  const folder = tempFolder();
  const { status, stdout, stderr } = run("npm", ["run", "flame", "--", ...OPTIONS, "--out", folder], ROOT);
  expect(status, stdout + stderr).toBe(0);
  expect(readdirSync(folder)).toEqual(["flame.clinic-flame.html"]);
  expect([...functionsOf(join(folder, "flame.clinic-flame.html"))]).toEqual(expect.arrayContaining(ALLOCATOR));
});
