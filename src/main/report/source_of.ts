/**
 * Which module and function a stack frame is in. In dist many modules lie together in one file, kernel.js (tools/build.ts):
 * its source map knows the module, and functions of the same name have got a number.
 */
import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** src in a checkout, dist in the package; ends with a slash. */
export const PROGRAM = fileURLToPath(new URL("../../", import.meta.url));
const TOGETHER = `${PROGRAM}kernel.js`;

let map: SourceMap | undefined;
/** By line of kernel.js. */
const modules = new Map<number, string>();

/** Path of the module; "" for a frame without one. */
export function moduleOf(site: NodeJS.CallSite): string {
  const name = site.getFileName() ?? "";
  const file = name.startsWith("file:") ? fileURLToPath(name) : name;
  return file === TOGETHER ? moduleAt(site.getLineNumber() ?? 1, site.getColumnNumber() ?? 1) : file;
}
/** Its name in the sources; "" if it has none. */
export function functionOf(site: NodeJS.CallSite): string {
  return (site.getFunctionName() ?? "").replace(/\$\d+$/, "");
}
function moduleAt(line: number, column: number): string {
  let module = modules.get(line);
  if (module === undefined) {
    map ??= new SourceMap(JSON.parse(readFileSync(`${TOGETHER}.map`, "utf8")) as SourceMapPayload);
    const entry = map.findEntry(line - 1, column - 1);
    module = "originalSource" in entry ? path.resolve(PROGRAM, entry.originalSource) : TOGETHER;
    modules.set(line, module);
  }
  return module;
}
