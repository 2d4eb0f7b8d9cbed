/** Where the checkout is. This module may be compiled, and then lies in build. */
import { findPackageJSON } from "node:module";
import path from "node:path";

export const ROOT = path.dirname(findPackageJSON(import.meta.url) ?? import.meta.dirname);
/** What the benchmarks build, and code that V8 has compiled. */
export const CACHE = path.join(ROOT, "node_modules/.cache/sheaf-bench");
