/**
 * Which module and function a stack frame is in. In the built program many modules lie together in kernel.js, where
 * functions of the same name have got a number.
 */
import { fileURLToPath } from "node:url";
import { moduleAtLine } from "../../shared/base/joined.ts";

/** src in a checkout, dist in the package; ends with a slash. */
export const PROGRAM = fileURLToPath(new URL("../../", import.meta.url));
const TOGETHER = `${PROGRAM}kernel.js`;

/** Path of the module, where it would be by itself; "" for a frame without one. */
export function moduleOf(site: NodeJS.CallSite): string {
  const name = site.getFileName() ?? "";
  const file = name.startsWith("file:") ? fileURLToPath(name) : name;
  return file === TOGETHER ? `${PROGRAM}${moduleAtLine(site.getLineNumber() ?? 0) ?? "kernel"}.js` : file;
}
/** Its name in the sources; "" if it has none. */
export function functionOf(site: NodeJS.CallSite): string {
  return (site.getFunctionName() ?? "").replace(/\$\d+$/, "");
}
