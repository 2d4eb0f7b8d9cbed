/** The campaign's command line: what is refused before anything runs, and what Ctrl-C leaves. */
import { spawn } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";

const CAMPAIGN = path.join(import.meta.dirname, "../../tools/campaign.ts");
const TIMEOUT_MS = 60_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
/** @param interruptAt  what has to be on stdout for a SIGINT to be sent. */
async function campaign(args: readonly string[], interruptAt?: RegExp): Promise<Ended> {
  const child = spawn(process.execPath, [CAMPAIGN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err, interrupted] = ["", "", false];
  child.stderr.on("data", (data) => (err += String(data)));
  child.stdout.on("data", (data) => {
    out += String(data);
    if (interrupted || interruptAt?.test(out) !== true) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, err })));
}

test.each([
  [["--bogus"], /^campaign: Unknown option '--bogus'/],
  [["--duration", "soon"], /^campaign: --duration must be/],
  [["--jobs", "0"], /^campaign: --jobs must be/],
  [["word"], /^campaign: unexpected argument 'word'/],
  [["--", "--bogus"], /^campaign: unknown option --bogus/],
  [["--", "--config", "tiny"], /^campaign: .*--config/],
])("%j is refused before anything runs", { timeout: TIMEOUT_MS }, async (args, message) => {
  const { code, out, err } = await campaign(args);
  expect(err).toMatch(message);
  expect(out).toBe("");
  expect(code).toBe(2);
});
test("Ctrl-C ends the run that goes on, and sums up those before it", { timeout: TIMEOUT_MS }, async () => {
  const args = ["--duration", "100ms", "--random", "0", "--", "--cpus", "2"];
  const { code, out } = await campaign(args, /^SUCCESS .*\n/);
  expect(out).toMatch(/^interrupted: [1-9]\d* of \d+ configurations, 0 not SUCCESS\n$/m);
  expect(code).toBe(130);
});
test("words that do not go with the other options are left out", { timeout: TIMEOUT_MS }, async () => {
  const { code, out } = await campaign(["--duration", "100ms", "--random", "0", "--", "--head", "8"], /left out .*\n/);
  expect(out).toMatch(/^left out +--config unbatched +--head 8 needs batching/m);
  expect(code).toBe(130);
});
