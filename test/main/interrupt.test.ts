import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EXIT_INTERRUPTED } from "../../src/main/exit_code.ts";
import { listenForInterrupt } from "../../src/main/interrupt.ts";

const exit = vi.spyOn(process, "exit").mockImplementation(() => undefined as never);
beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => {
  vi.useRealTimers();
  exit.mockClear();
});

test("the first signal ends the run, a second one the process", () => {
  const interrupt = listenForInterrupt();
  expect(interrupt.signal.aborted).toBe(false);
  process.emit("SIGINT");
  expect(interrupt.signal.aborted).toBe(true);
  expect(exit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  process.emit("SIGINT");
  expect(exit).toHaveBeenCalledExactlyOnceWith(EXIT_INTERRUPTED);
  interrupt.dispose();
});

test("one signal that comes twice, by process group and by launcher, is one", () => {
  const interrupt = listenForInterrupt();
  process.emit("SIGINT");
  vi.advanceTimersByTime(5);
  process.emit("SIGINT");
  expect(interrupt.signal.aborted).toBe(true);
  expect(exit).not.toHaveBeenCalled();
  interrupt.dispose();
});

test("the end that was asked for is no signal: it never ends the process", () => {
  const interrupt = listenForInterrupt();
  interrupt.end();
  expect(interrupt.signal.aborted).toBe(true);
  vi.advanceTimersByTime(1000);
  interrupt.end();
  expect(exit).not.toHaveBeenCalled();
  process.emit("SIGINT");
  expect(exit).toHaveBeenCalledExactlyOnceWith(EXIT_INTERRUPTED);
  interrupt.dispose();
});
