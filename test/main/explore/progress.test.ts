/** The progress line: what it says, how often, and that it goes away. */
import { afterEach, expect, test, vi } from "vitest";
import { Progress } from "../../../src/main/explore/progress.ts";

afterEach(() => vi.restoreAllMocks());

function recorded(): { readonly lines: string[]; readonly progress: Progress; readonly at: (ms: number) => void } {
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  const lines: string[] = [];
  const output = { out: () => undefined, err: () => undefined, progress: (line: string) => void lines.push(line) };
  return { lines, progress: new Progress(output, false), at: (ms) => void clock.mockReturnValue(ms) };
}

test("says how fast, how much is new, and for how long nothing was", () => {
  const { lines, progress, at } = recorded();
  progress.begin("T4 (1 of 3)");
  at(100);
  progress.update({ schedules: 3000, steps: 0, pairs: 7 });
  at(500);
  progress.update({ schedules: 20_000, steps: 0, pairs: 9 });
  at(600);
  progress.update({ schedules: 21_000, steps: 0, pairs: 9 });
  at(1500);
  progress.update({ schedules: 30_000, steps: 0, pairs: 9 });
  expect(lines).toEqual([
    "T4 (1 of 3): 20,000 schedules (40,000/s), 9 pairs (+9), the last new one 0.0 s ago",
    "T4 (1 of 3): 30,000 schedules (10,000/s), 9 pairs (+0), the last new one 1.0 s ago",
  ]);
});
test("is wiped once, if it was there", () => {
  const { lines, progress, at } = recorded();
  progress.clear();
  expect(lines).toEqual([]);
  at(300);
  progress.update({ schedules: 1, steps: 0, pairs: 0 });
  progress.clear();
  progress.clear();
  expect(lines.slice(1)).toEqual([""]);
});
