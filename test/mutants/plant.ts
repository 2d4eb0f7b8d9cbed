/** Plants a bug in a copy of the tree. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutant } from "./mutant.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What running `sheaf` needs. */
const COPIED = ["src", "bin", "package.json"];

/**
 * Calls `use` with the folder of a copy that has the bug; afterwards the copy is gone.
 * @throws Error  the code to replace is not there exactly once
 */
export function withPlanted<T>(mutant: Mutant, use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-mutant-"));
  try {
    for (const part of COPIED) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    for (const { file, find, replace } of mutant.edits) {
      const path = join(folder, file);
      const parts = readFileSync(path, "utf8").split(find);
      const times = parts.length - 1;
      if (times !== 1)
        throw new Error(`mutant ${mutant.name}: ${file} has the code to replace ${times} times, not once`);
      writeFileSync(path, parts.join(replace));
    }
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
