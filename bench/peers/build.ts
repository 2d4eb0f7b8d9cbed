/**
 * Builds the native peers from the sources of this folder, when they are first needed: from Debian's packages, into
 * node_modules/.cache. What was built stays there until a source, a flag or the compiler changes.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { CACHE, ROOT } from "../root.ts";
import { HEAP_BYTES } from "../subjects/javascript/heap_spec.ts";

const exec = promisify(execFile);
const FOLDER = path.join(ROOT, "bench/peers");
const BUILD_TIMEOUT_MS = 120_000;
/** Where Debian has the JavaScript that its emscripten needs; a Node that is not Debian's does not look there. */
const DEBIAN_NODE_PATH = "/usr/share/nodejs";

/** A peer that can run here, or why not. */
export type Build = { readonly file: string; readonly version: string } | { readonly missing: string };

/** Its own loop must not be optimised away, and calls of a shared library are to be as short as they can be. */
const FLAGS = ["-O2", "-std=gnu11", "-pthread", "-fno-builtin-malloc", "-fno-builtin-free", "-fno-plt"];

interface Library {
  readonly package: string;
  readonly header: string;
}
interface NativePeer {
  readonly libraries: readonly Library[];
  readonly flags: readonly string[];
  /** After the sources. */
  readonly link: () => Promise<readonly string[]>;
  readonly sources: (file: string) => boolean;
}
const MIMALLOC: Library = { package: "libmimalloc-dev", header: "mimalloc.h" };
const JEMALLOC: Library = { package: "libjemalloc-dev", header: "jemalloc/jemalloc.h" };
const LIBURCU: Library = { package: "liburcu-dev", header: "urcu.h" };

const ofAllocators = (file: string): boolean => file.endsWith(".c") && file !== "rcu.c" && file !== "emscripten.c";
const ofRcu = (file: string): boolean => ["main.c", "allocator.c", "rcu.c"].includes(file);

const NATIVE = {
  glibc: { libraries: [], flags: [], link: async () => [], sources: ofAllocators },
  mimalloc: { libraries: [MIMALLOC], flags: ["-DPEER_MIMALLOC"], link: linkMimalloc, sources: ofAllocators },
  jemalloc: {
    libraries: [JEMALLOC],
    flags: ["-DPEER_JEMALLOC"],
    link: async () => ["-l:libjemalloc_pic.a", "-lm", "-lstdc++", "-ldl"],
    sources: ofAllocators,
  },
  "liburcu-memb": liburcu("memb"),
  "liburcu-qsbr": liburcu("qsbr"),
} as const satisfies Readonly<Record<string, NativePeer>>;
export type NativeName = keyof typeof NATIVE;
export const NATIVE_NAMES = Object.keys(NATIVE) as readonly NativeName[];

/** What its -sMALLOC knows. */
export type EmscriptenAllocator = "dlmalloc" | "emmalloc";

function liburcu(flavour: "memb" | "qsbr"): NativePeer {
  return {
    libraries: [LIBURCU, MIMALLOC],
    flags: [`-DPEER_URCU_${flavour.toUpperCase()}`, "-DPEER_MIMALLOC"],
    link: async () => [`-lurcu-${flavour}`, ...(await linkMimalloc())],
    sources: ofRcu,
  };
}
/** The static library where there is one. Debian 12 has none. */
async function linkMimalloc(): Promise<readonly string[]> {
  const { stdout } = await exec("gcc", ["-print-file-name=libmimalloc.a"]);
  const isStatic = path.isAbsolute(stdout.trim());
  return isStatic ? ["-DMIMALLOC_STATIC=1", "-l:libmimalloc.a"] : ["-DMIMALLOC_STATIC=0", "-lmimalloc"];
}

/** First line of what a tool says about itself; undefined: it is not there. */
async function versionOf(tool: string): Promise<string | undefined> {
  try {
    const { stdout } = await exec(tool, ["--version"], { timeout: BUILD_TIMEOUT_MS });
    return stdout.split("\n", 1)[0];
  } catch {
    return undefined;
  }
}
async function hasHeader(header: string): Promise<boolean> {
  const test = exec("gcc", ["-E", "-include", header, "-x", "c", "/dev/null"], { timeout: BUILD_TIMEOUT_MS });
  return test.then(
    () => true,
    () => false,
  );
}

export async function buildNative(name: NativeName): Promise<Build> {
  const gcc = await versionOf("gcc");
  if (gcc === undefined) return missing("gcc");
  const peer: NativePeer = NATIVE[name];
  for (const library of peer.libraries) {
    if (!(await hasHeader(library.header))) return missing(library.package);
  }
  const sources = readdirSync(FOLDER).filter(peer.sources).toSorted();
  const args = [...FLAGS, ...peer.flags, ...sources, ...(await peer.link())];
  const file = target(name, [gcc, ...args]);
  if (!existsSync(file)) await into(file, (output) => exec("gcc", [...args, "-o", output], options()));
  return { file, version: gcc };
}

export async function buildEmscripten(allocator: EmscriptenAllocator): Promise<Build> {
  const emcc = await versionOf("emcc");
  if (emcc === undefined) return missing("emscripten");
  const flags = ["-O2", "-pthread", `-sMALLOC=${allocator}`, `-sINITIAL_MEMORY=${HEAP_BYTES}`, "--no-entry"];
  const args = [...flags, "emscripten.c"];
  const version = `emscripten ${allocator} ${/\d+\.\d+\.\d+/.exec(emcc)?.[0] ?? ""}`;
  const script = target(allocator, [emcc, ...args]).concat(".js");
  const file = script.replace(/\.js$/, ".wasm");
  if (existsSync(file)) return { file, version };
  try {
    await exec("emcc", [...args, "-o", script], options({ NODE_PATH: DEBIAN_NODE_PATH }));
    return { file, version };
  } catch (error) {
    return { missing: `emcc fails: ${firstLine(error)}` };
  }
}

function missing(debianPackage: string): Build {
  return { missing: `${debianPackage} is missing: apt-get install ${debianPackage}` };
}
function firstLine(error: unknown): string {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  return stderr.split("\n").find((line) => line.includes("error")) ?? stderr.split("\n", 1)[0];
}
function options(env: NodeJS.ProcessEnv = {}): { cwd: string; timeout: number; env: NodeJS.ProcessEnv } {
  return { cwd: FOLDER, timeout: BUILD_TIMEOUT_MS, env: { ...process.env, ...env } };
}
/** Where a peer is built: a name for all that it depends on. */
function target(name: string, command: readonly string[]): string {
  const hash = createHash("sha256").update(command.join("\0"));
  for (const file of readdirSync(FOLDER).toSorted()) {
    if (/\.[ch]$/.test(file)) hash.update(readFileSync(path.join(FOLDER, file)));
  }
  mkdirSync(CACHE, { recursive: true });
  return path.join(CACHE, `${name}-${hash.digest("hex").slice(0, 16)}`);
}
/** The file appears complete or not at all: several processes may build it at once. */
async function into(file: string, build: (output: string) => Promise<unknown>): Promise<void> {
  const output = `${file}.${process.pid}`;
  await build(output);
  renameSync(output, file);
}
