/**
 * Builds JavaScript from the sources: each module at its own path. Then what runs at every step (the kernel, Memory, the
 * explorer's engine) is put together into one file, kernel.js, and its modules' own files only pass on what is in it: V8
 * makes constants of what a module declares as `const`, but not of what it imports or exports, nor of functions. That
 * costs the kernel half of its time.
 *
 *   node tools/build.ts          dist: src with declarations, for the package
 *   node tools/build.ts build    build: src and bench, for measurements
 */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseSync, type Span } from "oxc-parser";
import { rolldown } from "rolldown";

const ROOT = path.join(import.meta.dirname, "..");
const TSC = path.join(ROOT, "node_modules/typescript/bin/tsc");
/** Where the modules come from that are put together. */
const FOLDERS = ["shared", "nmi", "main/explore"];
/** Says which module a line of kernel.js is of: written when that is known. */
const TABLE = "shared/base/joined.js";

/** Modules in FOLDERS that import nothing from outside, and do not ask where they lie: all of the kernel's. */
function modulesToJoin(program: string): ReadonlySet<string> {
  const table = path.join(program, TABLE);
  const joined = new Set(FOLDERS.flatMap((folder) => globSync(`${program}/${folder}/**/*.js`)));
  const imports = new Map<string, readonly string[]>();
  for (const file of joined) {
    const text = readFileSync(file, "utf8");
    if (text.includes("import.meta") || text.includes("import(")) joined.delete(file);
    const found = [...text.matchAll(/\bfrom "(\.[^"]+)"/g)].map(([, name]) => path.resolve(file, "..", name));
    imports.set(
      file,
      found.filter((name) => name !== table),
    );
  }
  joined.delete(table);
  for (let before = -1; before !== joined.size;) {
    before = joined.size;
    for (const file of joined) if (!imports.get(file)?.every((name) => joined.has(name))) joined.delete(file);
  }
  return joined;
}

/** @param program  folder of the compiled src. */
async function join(program: string): Promise<void> {
  const modules = modulesToJoin(program);
  const build = await rolldown({
    cwd: program,
    platform: "node",
    input: Object.fromEntries([...modules].map((file) => [path.relative(program, file).replace(/\.js$/, ""), file])),
    external: (id) => (!id.startsWith(".") && !path.isAbsolute(id)) || id.endsWith("/joined.js"),
  });
  await build.write({
    dir: program,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    codeSplitting: { groups: [{ name: "kernel", test: (id) => modules.has(id) }] },
  });
  await build.close();
  const file = path.join(program, "kernel.js");
  writeFileSync(file, withConstants(readFileSync(file, "utf8")));
  writeTable(program);
}
/**
 * The same module with constants in place of functions and classes, which could be assigned to, and of what it exports:
 * that lies in cells, which V8 reads and compares at each use. Lines stay where they are. A function that is called while
 * the module is loaded must now come before its call; modules are in that order, and loading fails otherwise.
 */
function withConstants(text: string): string {
  let done = "";
  let at = 0;
  const replace = (start: number, end: number, by: string): void => {
    done += text.slice(at, start) + by;
    at = end;
  };
  for (const node of parseSync("kernel.js", text).program.body) {
    if (node.type === "FunctionDeclaration" && node.id !== null) {
      replace(node.start, node.start, `const ${node.id.name} = `);
      replace(node.end, node.end, ";");
    } else if (node.type === "VariableDeclaration" && node.kind === "var") {
      replace(node.start, node.start + "var".length, "const");
    } else if (node.type === "ExportNamedDeclaration") {
      const name = ({ start, end }: Span): string => text.slice(start, end);
      const copies = node.specifiers.map(({ local }, i) => `const export$${i} = ${name(local)};\n`);
      const list = node.specifiers.map(({ exported }, i) => `export$${i} as ${name(exported)}`);
      replace(node.start, node.end, `${copies.join("")}export { ${list.join(", ")} };`);
    }
  }
  return done + text.slice(at);
}
/** rolldown marks where each module begins: "// shared/linux/mm/slub/free.js". */
function writeTable(program: string): void {
  const lines = readFileSync(path.join(program, "kernel.js"), "utf8").split("\n");
  const entries = lines.flatMap((line, i) => {
    const file = /^(?:\/\/#region|\/\/) (\S+)\.js$/.exec(line)?.[1];
    return file === undefined ? [] : [[i + 1, file] as const];
  });
  if (entries.length === 0) throw new Error("kernel.js does not say where its modules begin");
  const file = path.join(program, TABLE);
  const text = readFileSync(file, "utf8");
  const filled = text.replace(/(export const JOINED =) \[\];/, `$1 ${JSON.stringify(entries)};`);
  if (filled === text) throw new Error(`${TABLE} has no table to fill`);
  writeFileSync(file, filled);
}

/** What can be built: where it goes, and src in it. */
const TARGETS = {
  dist: { program: ".", project: "tsconfig.build.json" },
  build: { program: "src", project: "tsconfig.bench.json" },
};
/** @param folder  where to; what is there is removed. */
export async function build(target: keyof typeof TARGETS, folder = path.join(ROOT, target)): Promise<void> {
  const { program, project } = TARGETS[target];
  rmSync(folder, { recursive: true, force: true });
  execFileSync(process.execPath, [TSC, "-p", project, "--outDir", folder], { cwd: ROOT, stdio: "inherit" });
  await join(path.join(folder, program));
}

if (process.argv[1] === import.meta.filename) {
  const [target = "dist"] = process.argv.slice(2);
  if (target !== "dist" && target !== "build") throw new RangeError(`builds ${Object.keys(TARGETS).join(" or ")}`);
  await build(target);
}
