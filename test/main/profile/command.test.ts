/** `sheaf profile` as its user sees it: files, table, no clinic, exit codes, Ctrl-C. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { type Captured, run } from "../captured.ts";

const LAUNCHER = fileURLToPath(new URL("../../../bin/sheaf.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sheaf-profile-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

const profile = (...words: string[]): Promise<Captured> => run(["profile", ...words]);
const SECOND = ["--duration", "1s", "--seed", "1", "--memory", "8MiB"];

describe("sheaf profile", () => {
  test("leaves a profile of each CPU and a file for speedscope; old ones go", async () => {
    const out = join(folder, "two");
    await profile("--cpus", "3", "--duration", "200ms", "--memory", "8MiB", "--out", out, "--no-pages");
    writeFileSync(join(out, "notes.txt"), "mine");
    expect(readdirSync(out)).toContain("cpu-2.cpuprofile");
    const { code, out: lines, err } = await profile("--cpus", "2", ...SECOND, "--out", out, "--no-pages");
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(readdirSync(out)).toEqual(["cpu-0.cpuprofile", "cpu-1.cpuprofile", "notes.txt", "speedscope.json"]);

    const table = lines.join("\n");
    for (const cpu of [0, 1]) {
      expect(table).toMatch(
        new RegExp(String.raw`\nCPU ${cpu}: \d+\.\d\d s, waiting \d+\.\d %\n +self +total +function`),
      );
    }
  });
  test("without clinic it says what is missing, and leaves the rest: 0", async () => {
    const out = join(folder, "no-clinic");
    vi.stubEnv("npm_config_cache", join(folder, "empty-cache"));
    vi.stubEnv("npm_config_offline", "true");
    const { code, out: lines } = await profile("--cpus", "1", ...SECOND, "--out", out);
    expect(code).toBe(0);
    expect(lines.at(-2)).toMatch(/^sheaf-profile: pages are missing: clinic@13\.0\.0, run by npm: .*ENOTCACHED/);
    expect(readdirSync(out)).toEqual(["cpu-0.cpuprofile", "speedscope.json"]);
  });
  test.each([
    [["--cpus", "0"], "sheaf: --cpus must be an integer from 1 to 31, not '0'"],
    [["--frames"], "sheaf: unknown option --frames: see --help"],
    [["--out", LAUNCHER], `sheaf: --out ${LAUNCHER} cannot be written (EEXIST): name another folder`],
  ])("bad input %j: one line, 2", async (words, message) => {
    const { code, err } = await profile(...words);
    expect({ code, err }).toEqual({ code: 2, err: [message] });
  });
  test("Ctrl-C leaves what there is: 130", async () => {
    const out = join(folder, "interrupted");
    const words = ["profile", "--cpus", "1", "--duration", "60s", "--memory", "8MiB", "--out", out];
    const child = spawn(process.execPath, [LAUNCHER, ...words]);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const started = setInterval(() => {
      if (!existsSync(out)) return; // Made after the listener for Ctrl-C.
      clearInterval(started);
      setTimeout(() => child.kill("SIGINT"), 2000);
    }, 50);
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(text).toMatch(/pages are missing: .* interrupted\n.*End of test: SUCCESS/);
    expect(readdirSync(out)).toEqual(["cpu-0.cpuprofile", "speedscope.json"]);
  });
});
