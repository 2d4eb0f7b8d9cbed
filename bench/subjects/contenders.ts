/** All that can be measured: sheaf's allocators, and what they are compared with. Each runs in a process of its own. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { buildEmscripten, type EmscriptenAllocator, buildNative, type NativeName } from "../peers/build.ts";
import type { JavascriptJob } from "./javascript/process.ts";
import type { Job } from "./job.ts";
import type { SheafJob } from "./sheaf/machine.ts";

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}
export interface Contender {
  /** Short, and the same on all machines. */
  readonly name: string;
  /** Makes it ready. @returns the command for a job; or a text: why it cannot run here */
  readonly prepare: () => Promise<((job: Job) => Command) | string>;
}

/**
 * What V8 may inline. An allocation is a dozen functions, more than it inlines by itself; and where memory looks for
 * interrupts at each step, an access is longer, too. A worker's own options cannot say that.
 */
const INLINING = ["--max-inlined-bytecode-size-cumulative=5000"];
const INLINING_INTERRUPTIBLE = [...INLINING, "--max-inlined-bytecode-size-small=80"];

function node(script: string, job: Job, flags: readonly string[] = []): Command {
  const file = path.join(import.meta.dirname, `${script}${path.extname(import.meta.filename)}`);
  return { file: process.execPath, args: [...flags, file, JSON.stringify(job)] };
}

export interface SheafOptions {
  readonly interruptible?: boolean;
  readonly megabytes?: number;
}
const MEGABYTES = 256;

export function sheaf(allocator: SheafJob["allocator"], options: SheafOptions = {}): Contender {
  const { interruptible = false, megabytes = MEGABYTES } = options;
  const start = (job: Job): Command => {
    const sheafJob: SheafJob = { ...job, allocator, interruptible, megabytes };
    return node("sheaf/machine", sheafJob, interruptible ? INLINING_INTERRUPTIBLE : INLINING);
  };
  return { name: interruptible ? `${allocator}, interruptible` : allocator, prepare: async () => start };
}

function javascript(job: Job, { heap, version, wasmFile }: Omit<JavascriptJob, keyof Job>): Command {
  const javascriptJob: JavascriptJob = { ...job, heap, version, wasmFile };
  return node("javascript/process", javascriptJob);
}
/** What the package offers to JavaScript: sheaf/heap. */
export const SHEAF_HEAP: Contender = {
  name: "sheaf/heap",
  prepare: async () => (job) => javascript(job, { heap: "sheaf", version: "sheaf/heap", wasmFile: "" }),
};
/** Accesses without an allocator. */
export const V8: Contender = {
  name: "V8",
  prepare: async () => (job) => javascript(job, { heap: "none", version: `V8 ${process.versions.v8}`, wasmFile: "" }),
};
/** @param locked  threads can share it, as they can share the other heaps. Without the lock it is for one thread only. */
export function thingMalloc(locked: boolean): Contender {
  const name = locked ? "@thi.ng/malloc" : "@thi.ng/malloc, no lock";
  return {
    name,
    async prepare() {
      const file = new URL("package.json", import.meta.resolve("@thi.ng/malloc"));
      const found = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string };
      const heap = locked ? "thi.ng" : "thi.ng, no lock";
      return (job) => javascript(job, { heap, version: `${name} ${found.version}`, wasmFile: "" });
    },
  };
}
export function emscripten(allocator: EmscriptenAllocator): Contender {
  return {
    name: `emscripten ${allocator}`,
    async prepare() {
      const build = await buildEmscripten(allocator);
      if ("missing" in build) return build.missing;
      return (job) => javascript(job, { heap: "emscripten", version: build.version, wasmFile: build.file });
    },
  };
}

export function native(name: NativeName): Contender {
  return {
    name,
    async prepare() {
      const build = await buildNative(name);
      if ("missing" in build) return build.missing;
      return (job) => ({ file: build.file, args: nativeArguments(job) });
    },
  };
}
function nativeArguments({ workload, threads, ms, warmupMs, parameters }: Job): readonly string[] {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return [workload, String(threads), String(ms), String(warmupMs), ...pairs];
}

/** The same with another number of threads than the rest of the comparison. */
export function onThreads(contender: Contender, threads: number): Contender {
  return {
    name: `${contender.name}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    async prepare() {
      const start = await contender.prepare();
      return typeof start === "string" ? start : (job) => start({ ...job, threads });
    },
  };
}
