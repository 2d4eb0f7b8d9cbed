/**
 * Function names for coverage, from V8's own stack. Under the one-thread engine the stacks of several CPUs lie on top of
 * each other; what belongs to the innermost context is the stretch of frames between the explorer's frames on top (it is
 * standing in an access) and the explorer's next frame below (there it entered the CPU, or the interrupt).
 */
import { functionOf, moduleOf, PROGRAM } from "../report/source_of.ts";

/**
 * Whose code a file holds: the explorer's, Memory's, the CPU layer's, that of kernel parts which serve all others
 * (locks, lists, irq_work, softirqs, timers), of the rest of the kernel, or a scenario's.
 */
type Owner = "explorer" | "memory" | "cpu" | "service" | "kernel" | "scenario";
interface Frame {
  /** "" if the function has none. */
  readonly name: string;
  readonly owner: Owner;
}

/** Frames that are looked at: the explorer's own on top, then the deepest nesting of kernel calls. */
const LIMIT = 48;

/** The first match counts. */
const FOLDERS: readonly (readonly [folder: string, Owner])[] = (
  [
    ["main/explore/", "explorer"],
    ["main/kit/", "explorer"],
    ["shared/mem/", "memory"],
    ["shared/cpu/", "cpu"],
    ["shared/linux/kernel/", "service"],
    ["shared/linux/lib/", "service"],
    ["shared/linux/sync/", "service"],
    ["shared/linux/", "kernel"],
  ] as const
).map(([folder, owner]) => [`${PROGRAM}${folder}`, owner]);

const owners = new Map<string, Owner>();
function ownerOf(file: string): Owner {
  let owner = owners.get(file);
  if (owner === undefined) {
    owner = FOLDERS.find(([folder]) => file.startsWith(folder))?.[1] ?? "scenario";
    owners.set(file, owner);
  }
  return owner;
}

/** The functions of the context that makes the present access, innermost first; without those of Memory. */
function contextFrames(): readonly Frame[] {
  const frames: Frame[] = [];
  for (const site of callSites()) {
    const file = moduleOf(site);
    if (file === "") continue; // V8's own: Array.map and such.
    const owner = ownerOf(file);
    if (owner === "explorer") {
      if (frames.length > 0) break;
    } else if (owner !== "memory") {
      frames.push({ name: functionOf(site), owner });
    }
  }
  return frames;
}

const asSites = (_error: Error, sites: NodeJS.CallSite[]): NodeJS.CallSite[] => sites;
function callSites(): readonly NodeJS.CallSite[] {
  const { stackTraceLimit } = Error;
  const hook: unknown = Reflect.get(Error, "prepareStackTrace");
  Error.prepareStackTrace = asSites;
  Error.stackTraceLimit = LIMIT;
  const holder: { stack?: NodeJS.CallSite[] } = {};
  Error.captureStackTrace(holder);
  const sites = holder.stack ?? []; // V8 calls the hook now, so this comes before it is put back.
  Reflect.set(Error, "prepareStackTrace", hook);
  Error.stackTraceLimit = stackTraceLimit;
  return sites;
}

/**
 * The function in which the CPU stands: the innermost one above the CPU layer, so that it is irq_work_sync() that waits,
 * not cpu_idle(). undefined: a program without a name.
 */
export function standingIn(): string | undefined {
  const named = contextFrames().filter(({ name }) => name !== "");
  return (named.find(({ owner }) => owner !== "cpu") ?? named[0])?.name;
}

/**
 * What the interrupt that is running is about: the outermost kernel function that is no service, else the outermost
 * service. undefined: it is in code of the CPU layer or of the scenario.
 */
export function interruptRuns(): string | undefined {
  const frames = contextFrames().toReversed();
  const outermost = (owner: Owner): Frame | undefined => frames.find((frame) => frame.owner === owner);
  return (outermost("kernel") ?? outermost("service"))?.name;
}
