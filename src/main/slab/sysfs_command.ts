/** `sheaf sysfs`: files under /sys/kernel/slab of a machine under torture. */
import { CACHE_NAME_BYTES } from "../../shared/layout/slab.ts";
import { SYSFS_SETTINGS, SYSFS_VALUE_BYTES, SYSFS_WRITABLE } from "../../shared/layout/sysfs.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { parseTortureConfig } from "../torture/config.ts";
import { either } from "../values.ts";
import { ATTRIBUTE_NAMES } from "./attributes.ts";
import { endOfRun, LOOK_OPTIONS } from "./options.ts";
import { type Path, show } from "./show.ts";
import { isTraceName, TRACE_NAMES } from "./trace_names.ts";

/** What the machine's memory can hold as text: of any other character it would make another one. */
const PRINTABLE = /^[ -~]*$/;

export const sysfsCommand: Command = {
  usage: "[CACHE[/FILE]]",
  description: `Boots a machine, tortures it for a while, and prints a file of /sys/kernel/slab just before it stops:
kmalloc-64/alloc_fastpath; all files of a cache: kmalloc-64; or the names of the caches. With --write the file is
written first, by a CPU of the machine between two operations: ${SYSFS_SETTINGS.join(", ")},
or 0 to a statistic. Of caches that keep tracks (--config debug=U) there are ${TRACE_NAMES.join(" and ")}, too.`,
  options: [
    ...LOOK_OPTIONS,
    { name: "write", value: "VALUE", summary: "write it to the file; a refusal (-EINVAL, -ERANGE) is exit code 2" },
    { name: "json", summary: "print one JSON object, and nothing else" },
  ],
  maxPositionals: 1,
  async run(options, output) {
    const path = parsePath(options.positionals[0]);
    const text = parseWrite(path, options.text("write"));
    const config = parseTortureConfig(options);
    const json = options.on("json");
    const { lookAtTorture, pause } = await import("./run.ts"); // Brings the whole kernel along.
    const { ownName, resultText, writeAttribute } = await import("./write.ts");
    const interrupt = listenForInterrupt();
    try {
      let refused: string | undefined;
      const run = await lookAtTorture(
        config,
        async (machine, ended) => {
          await pause(config.durationMs, ended);
          if (text !== undefined && path.cache !== undefined && path.file !== undefined && !ended.aborted) {
            const write = { cache: ownName(machine, path.cache), attribute: path.file, text };
            const result = await writeAttribute(machine, write, ended);
            if (result !== undefined && result !== 0) refused = `write '${text}': ${resultText(result)}`;
          }
          refused ??= show(machine, path, json, output);
        },
        interrupt.signal,
      );
      const code = endOfRun(run, output);
      if (refused !== undefined && code === 0) throw new UsageError(`${options.positionals[0]}: ${refused}`);
      return code;
    } finally {
      interrupt.dispose();
    }
  },
};

/** @throws UsageError  there is no such file */
function parsePath(text: string | undefined): Path {
  if (text === undefined) return { cache: undefined, file: undefined };
  if (!PRINTABLE.test(text)) throw new UsageError("the path must be CACHE or CACHE/FILE in printable ASCII");
  const [cache, file, ...rest] = text.replace(/^\/sys\/kernel\/(?:debug\/)?slab\//, "").split("/");
  if (cache === "" || file === "" || rest.length > 0) {
    throw new UsageError(`the path must be CACHE or CACHE/FILE, such as kmalloc-64/alloc_fastpath, not '${text}'`);
  }
  if (cache.length > CACHE_NAME_BYTES) {
    throw new UsageError(`a cache's name has at most ${CACHE_NAME_BYTES} characters: 'sheaf sysfs' lists them`);
  }
  if (file !== undefined && !ATTRIBUTE_NAMES.includes(file) && !isTraceName(file)) {
    throw new UsageError(`a cache has no file '${file}': 'sheaf sysfs ${cache}' lists them`);
  }
  return { cache, file };
}
/** @throws UsageError  the file cannot be written */
function parseWrite({ file }: Path, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (file === undefined) throw new UsageError("--write needs a file: CACHE/FILE");
  if (!SYSFS_WRITABLE.includes(file)) {
    throw new UsageError(`${file} cannot be written: only ${either(SYSFS_SETTINGS)} and the statistics can`);
  }
  if (!PRINTABLE.test(text)) throw new UsageError("--write must be printable ASCII");
  if (text.length > SYSFS_VALUE_BYTES) throw new UsageError(`--write must be at most ${SYSFS_VALUE_BYTES} characters`);
  return text;
}
