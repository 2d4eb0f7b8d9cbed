/**
 * `npm run flame -- [OPTIONS of sheaf torture] [--out DIR]`: plain `clinic flame` on the compiled program. It looks at
 * the main thread, so that is CPU 0. See docs/PROFILING.md.
 */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EXIT_UNSUPPORTED, exitCodeOfError } from "../src/main/exit_code.ts";
import { type Options, parseOptions } from "../src/main/options.ts";
import { CLINIC, CLINIC_ENV, clinicFlame } from "../src/main/profile/clinic.ts";
import { openFolder, OUT_OPTION } from "../src/main/profile/files.ts";
import { parseTortureConfig, TORTURE_OPTIONS } from "../src/main/torture/config.ts";

const PROGRAM = fileURLToPath(new URL("../dist/main/profile/main_thread.js", import.meta.url));
const NAME = "flame";

function flame(options: Options): number {
  const folder = options.text(OUT_OPTION.name) ?? "";
  const data = join(folder, `${NAME}.clinic-flame`);
  const page = `${data}.html`;
  openFolder(folder, /^flame\.clinic-flame/);
  const words = TORTURE_OPTIONS.flatMap(({ name }) =>
    options.on(name) ? [`--${name}`, options.text(name) ?? ""] : [],
  );
  const program = [process.execPath, PROGRAM, ...words];
  const [command, ...args] = clinicFlame([`--dest=${folder}`, `--name=${NAME}`, "--", ...program]);
  console.log(`${CLINIC} looks at CPU 0; the first time, npm fetches it: a minute`);
  spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...CLINIC_ENV } });
  rmSync(data, { recursive: true, force: true });
  // Its exit code says nothing: it ends with 0 in some cases in which it made no page.
  if (existsSync(page)) return 0;
  console.error(`flame: ${CLINIC}, run by npm, has made no page`);
  return EXIT_UNSUPPORTED;
}

try {
  const options = parseOptions(process.argv.slice(2), [...TORTURE_OPTIONS, OUT_OPTION], 0);
  parseTortureConfig(options);
  process.exitCode = flame(options);
} catch (error) {
  process.exitCode = exitCodeOfError(error, (message) => console.error(`flame: ${message}`));
}
