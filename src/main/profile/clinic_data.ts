/**
 * Stacks as the data folder that `clinic flame --visualize-only` reads: what clinic would have collected itself, had it
 * looked at this thread. It knows the main thread only.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Frame, Stack } from "./stacks.ts";

/** The package's folder: clinic calls what lies in it the application. */
const MAIN_DIRECTORY = fileURLToPath(new URL("../../../", import.meta.url));
/** A page draws so many stacks at most: it holds them all, and clinic looks at each again and again. */
const MOST_STACKS = 8000;
const PERIOD_US = 1000;

/** A frame as 0x writes it to clinic's samples. */
interface ClinicFrame {
  readonly name: string;
  readonly type: "JS" | "CPP";
}

/** One page's worth: the stacks of a CPU, or those of several below a frame for each. */
export interface Lane {
  /** The outermost frame; undefined: none is added. */
  readonly root: string | undefined;
  readonly stacks: readonly Stack[];
}

/** @param folder  must end in ".clinic-flame": clinic takes the files' names from it. */
export function writeClinicData(folder: string, lanes: readonly Lane[]): void {
  const total = lanes.reduce((sum, { stacks }) => sum + length(stacks), 0);
  const periodUs = Math.max(PERIOD_US, total / MOST_STACKS);
  const samples = lanes.flatMap(({ root, stacks }) => {
    const outermost = root === undefined ? [] : [rootFrame(root)];
    return evenly(stacks, periodUs).map(({ frames }) => [...outermost, ...frames.map(clinicFrame)]);
  });
  const system = {
    mainDirectory: MAIN_DIRECTORY,
    pathSeparator: sep,
    nodeVersions: process.versions,
  };
  mkdirSync(folder);
  const write = (what: string, data: object): void =>
    writeFileSync(join(folder, `${basename(folder)}-${what}`), JSON.stringify(data));
  write("samples", samples);
  write("inlinedfunctions", {});
  write("systeminfo", system);
}

const length = (stacks: readonly Stack[]): number => stacks.reduce((sum, { us }) => sum + us, 0);

/** The stack that was seen at each period's end: clinic gives all samples the same weight. */
export function evenly(stacks: readonly Stack[], periodUs: number): readonly Stack[] {
  let now = 0;
  let taken = 0;
  return stacks.flatMap((stack) => {
    now += stack.us;
    const due = Math.floor(now / periodUs) - taken;
    taken += due;
    return Array.from({ length: due }, () => stack);
  });
}

/**
 * "name /path/file.js:1:2". Clinic reads frames by patterns: a name is one word, and a file that does not end in .js
 * belongs to the engine, which pages hide at first.
 */
function clinicFrame({ name, file, line, column }: Frame): ClinicFrame {
  const word = name.replaceAll(/\s+/g, "_");
  if (file === "") return { name: word, type: "CPP" };
  return { name: `${word} ${file.replace(/\.ts$/, ".js")}:${line}:${column}`, type: "JS" };
}
function rootFrame(name: string): ClinicFrame {
  return clinicFrame({ name, file: join(MAIN_DIRECTORY, `${name}.js`), line: 1, column: 1 });
}
