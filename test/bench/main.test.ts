/** The command: all benches with tiny values, what it prints, and what it refuses. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { BENCHES, SUMMARIES } from "../../bench/catalogue.ts";
import { type MachineDescription, type Result } from "../../bench/harness/report.ts";
import { buildNative } from "../../bench/peers/build.ts";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
/** Some dozen processes, on a busy machine. */
const SMOKE_TIMEOUT_MS = 300_000;
const TINY = ["--first", "--runs", "1", "--ms", "1"];

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
async function bench(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 1 << 24 };
    execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

describe("npm run bench", () => {
  it(
    "measures something in each bench",
    async () => {
      const native = await buildNative("glibc");
      const output = mkdtempSync(path.join(tmpdir(), "sheaf-bench-"));
      const { code, stdout, stderr } = await bench([...TINY, "--json", "--output", output]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const { machine, results } = JSON.parse(stdout) as { machine: MachineDescription; results: readonly Result[] };
      expect(machine.node).toBe(process.versions.node);
      for (const { name, cases } of BENCHES) {
        const [{ bench: first }] = cases({});
        const rows = results.filter(({ bench: row }) => row === first || row.startsWith(`${first} `));
        expect(rows, name).not.toEqual([]);
        for (const row of rows) expectComplete(row);
      }
      expect(results.some(({ peer }) => peer === "glibc")).toBe("file" in native);
      expect(readFileSync(path.join(output, "curves.html"), "utf8")).toContain("<svg");
      expect(results.some(({ peer }) => peer === "@thi.ng/malloc")).toBe(true);
    },
    SMOKE_TIMEOUT_MS,
  );
  it(
    "works without compilers, and says which peers are left out",
    async () => {
      const { code, stdout } = await bench([...TINY, "kmalloc"], { PATH: "/nonexistent" });
      expect(code).toBe(0);
      expect(stdout).toContain("mimalloc skipped: gcc is missing: apt-get install gcc");
      expect(stdout).toMatch(/^ {2}kmalloc \(BareMemory\) /m);
    },
    SMOKE_TIMEOUT_MS,
  );

  it("lists the benches", async () => {
    const { code, stdout } = await bench(["--list"]);
    expect(code).toBe(0);
    for (const { name, question } of [...BENCHES, ...SUMMARIES])
      expect(stdout).toContain(`${name.padEnd(19)}${question}`);
  });
  it.each([
    [["nosuch"], "bench: there is no bench 'nosuch': see --list"],
    [["--runs", "0"], "bench: --runs must be a whole number of at least 1, not '0'"],
    [["--threads", "1,x"], "bench: --threads must be a whole number of at least 1, not 'x'"],
    [["--nosuch"], "bench: Unknown option '--nosuch'"],
  ])("refuses %j with one line", async (args, line) => {
    const { code, stdout, stderr } = await bench(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(line);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});

/** The keys are an interface, and each number is one or null. */
function expectComplete(row: Result): void {
  expect(Object.keys(row).toSorted()).toEqual(
    [
      "bench",
      "overlapped",
      "peer",
      "peer_cpu_ns",
      "peer_ns",
      "ratio",
      "runs",
      "subject",
      "subject_cpu_ns",
      "subject_ns",
      "threads",
    ].toSorted(),
  );
  expect(row.runs).toBe(1);
  if (row.peer === null) expect(row.ratio).toBeNull();
}
