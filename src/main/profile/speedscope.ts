/** All CPUs' stacks as one file that speedscope opens: a profile for each CPU, on one list of functions. */
import { type Frame, frameKey, type Stack } from "./stacks.ts";

/** @param cpus  the stacks of each CPU; undefined: it has left none. */
export function speedscopeFile(name: string, cpus: readonly (readonly Stack[] | undefined)[]): object {
  const frames: object[] = [];
  const known = new Map<string, number>();
  const indexOf = (frame: Frame): number => {
    const { name, file, line, column } = frame;
    const key = frameKey(frame);
    const index = known.get(key) ?? frames.push(file === "" ? { name } : { name, file, line, col: column }) - 1;
    known.set(key, index);
    return index;
  };
  const profiles = cpus.flatMap((stacks, cpu) => {
    if (stacks === undefined) return [];
    return {
      type: "sampled",
      name: `CPU ${cpu}`,
      unit: "microseconds",
      startValue: 0,
      endValue: stacks.reduce((sum, { us }) => sum + us, 0),
      samples: stacks.map((stack) => stack.frames.map(indexOf)),
      weights: stacks.map(({ us }) => us),
    };
  });
  return {
    $schema: "https://www.speedscope.app/file-format-schema.json",
    exporter: "sheaf profile",
    name,
    activeProfileIndex: 0,
    shared: { frames },
    profiles,
  };
}
