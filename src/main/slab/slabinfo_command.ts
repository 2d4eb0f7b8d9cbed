/** `sheaf slabinfo`: /proc/slabinfo of a machine under torture. */
import type { Command } from "../command.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { parseTortureConfig } from "../torture/config.ts";
import { endOfRun, LOOK_OPTIONS } from "./options.ts";

const REFRESH_MS = 1000;
/** Cursor to the top, the rest of the screen empty. */
const HOME = "\u001b[H\u001b[J";

export const slabinfoCommand: Command = {
  usage: "",
  description: `Boots a machine, tortures it for a while, and prints its /proc/slabinfo just before it stops; with --watch each
second. The machine is looked at while it runs, without a lock: the numbers are those of slightly different moments.`,
  options: [
    ...LOOK_OPTIONS,
    { name: "watch", summary: "print it each second, until --duration is over; without --duration until Ctrl-C" },
    { name: "json", summary: "print JSON: an array of caches, one array a line with --watch" },
  ],
  maxPositionals: 0,
  async run(options, output) {
    const config = parseTortureConfig(options);
    const watch = options.on("watch");
    const json = options.on("json");
    const endless = watch && !options.on("duration");
    const { lookAtTorture, pause } = await import("./run.ts"); // Brings the whole kernel along.
    const { slabinfo, slabinfoText } = await import("./slabinfo.ts");
    const interrupt = listenForInterrupt();
    try {
      const run = await lookAtTorture(
        config,
        async (machine, ended) => {
          const home = output.onTerminal === true && !json ? HOME : "";
          const print = (clear: string): void => {
            const lines = slabinfo(machine);
            output.out(json ? JSON.stringify(lines) : `${clear}${slabinfoText(lines).join("\n")}`);
          };
          let leftMs = endless ? Infinity : config.durationMs;
          const stepMs = watch ? REFRESH_MS : leftMs;
          while (leftMs > stepMs && !ended.aborted) {
            await pause(stepMs, ended);
            leftMs -= stepMs;
            if (!ended.aborted) print(home);
          }
          if (!ended.aborted) await pause(leftMs, ended);
          print(watch ? home : "");
        },
        interrupt.signal,
      );
      return endOfRun(run, output);
    } finally {
      interrupt.dispose();
    }
  },
};
