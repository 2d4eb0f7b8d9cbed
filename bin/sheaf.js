#!/usr/bin/env node
/**
 * The command `sheaf`: finds a Node that can run the program, then runs it.
 *
 * Plain JavaScript, so that any Node can read it. In a checkout the program is src/main/cli.ts, loaded as it is; in
 * the published package, which has no src, it is dist/main/cli.js; in a checkout, too, if SHEAF_BUILT is set: what
 * `npm run build` has made there is faster.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import os from "node:os";
import tty from "node:tty";
import { fileURLToPath } from "node:url";

const OLDEST = [22, 18];
/** Set for the Node that this launcher starts, so that an old one there ends in a message and not in a loop. */
const STARTED_BY_LAUNCHER = "SHEAF_STARTED_BY_LAUNCHER";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const newEnough = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
const startedByLauncher = process.env[STARTED_BY_LAUNCHER] !== undefined;
delete process.env[STARTED_BY_LAUNCHER];
const nodeOfCheckout = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));

if (newEnough) {
  await run();
} else if (!startedByLauncher && existsSync(nodeOfCheckout)) {
  runWith(nodeOfCheckout);
} else {
  refuse();
}

async function run() {
  shareCompileCache();
  const sources = process.env["SHEAF_BUILT"] === undefined ? ["../src/main/cli.ts"] : [];
  const program = [...sources, "../dist/main/cli.js"].map((path) => new URL(path, import.meta.url)).find(existsSync);
  if (program === undefined) {
    console.error(
      sources.length > 0
        ? "sheaf: neither src/main/cli.ts nor dist/main/cli.js is there: this copy of the package is incomplete"
        : "sheaf: SHEAF_BUILT is set, but there is no dist/main/cli.js: run `npm run build`",
    );
    process.exitCode = 2;
    return;
  }
  const { main } = await import(program.href);
  process.exitCode = await main(process.argv.slice(2));
}

/** Compiled code is kept between runs. Worker threads learn of the folder by the environment only. */
function shareCompileCache() {
  const { directory } = module.enableCompileCache();
  if (directory !== undefined) process.env["NODE_COMPILE_CACHE"] ??= directory;
}

/**
 * Hands the same command line to another Node and passes its exit code on.
 *
 * @param {string} node
 */
function runWith(node) {
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, [STARTED_BY_LAUNCHER]: "1" },
  });
  process.on("SIGINT", () => {
    if (!terminalSignalsGroup()) child.kill("SIGINT");
  });
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => refuse(error.message));
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + os.constants.signals[signal];
  });
}

/**
 * Whether a SIGINT now comes from Ctrl-C. A terminal sends it to every process of its foreground group, so the child
 * has it already, and a second one would look like an impatient user. A SIGINT sent by `kill` reached only us.
 */
function terminalSignalsGroup() {
  try {
    const afterName = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "");
    const [, , group, , , foregroundGroup] = afterName.split(" ");
    return group === foregroundGroup;
  } catch {
    return tty.isatty(0); // No /proc: not Linux.
  }
}

function refuse(why = "") {
  const needed = `sheaf needs Node ${OLDEST.join(".")} or later and this is ${process.version}`;
  console.error(`${needed}: run \`npm ci\` in the checkout, or install a newer Node${why && ` (${why})`}`);
  process.exitCode = 2;
}
