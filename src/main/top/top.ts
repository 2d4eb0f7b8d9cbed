/**
 * `sheaf torture --top`: shows the machine while it runs. On a terminal it redraws a screen, on the alternate one, so that
 * what was printed before is there again at the end, also when a second Ctrl-C ends the process. Elsewhere it prints a
 * line per refresh.
 */
import type { Output, Terminal } from "../command.ts";
import { viewLine, viewScreen } from "./text.ts";
import { type Looked, Viewer } from "./view.ts";

const REFRESH_MS = 1000;
/** Between two looks at what the CPUs do. */
const SAMPLE_MS = 5;

const ENTER = "\u001b[?1049h\u001b[?25l"; // The alternate screen, no cursor.
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const REST_OF_LINE = "\u001b[K";
const REST_OF_SCREEN = "\u001b[J";
const CTRL_C = "\u0003";

/** What the keys do, which are no signals while this shows. */
interface Keys {
  /** q: ends the run in order. However often it comes: who holds the key down wants no more than that. */
  readonly end: () => void;
  /** Ctrl-C. */
  readonly interrupt: () => void;
}

export class Top {
  private readonly title: string;
  private readonly output: Output;
  private readonly keys: Keys;
  private viewer: Viewer | undefined;
  private timers: readonly NodeJS.Timeout[] = [];
  private startMs = 0;
  private stopListening: (() => void) | undefined;
  /** Whoever ends the process here and now leaves the terminal as it was. */
  private readonly onExit = (): void => this.stop();

  constructor(title: string, output: Output, keys: Keys) {
    this.title = title;
    this.output = output;
    this.keys = keys;
  }
  /** What is to be shown. */
  watch(machine: Looked): void {
    this.viewer = new Viewer(machine);
  }
  /** Shows it from now on. */
  start(): void {
    const { terminal } = this.output;
    this.startMs = performance.now();
    this.timers = [setInterval(() => this.viewer?.sample(), SAMPLE_MS), setInterval(() => this.refresh(), REFRESH_MS)];
    this.stopListening = terminal?.onKey((key) => {
      if (key === "q") this.keys.end();
      if (key === CTRL_C) this.keys.interrupt();
    });
    terminal?.write(ENTER);
    process.once("exit", this.onExit);
  }
  private refresh(): void {
    const view = this.viewer?.view(performance.now() - this.startMs);
    if (view === undefined) return;
    const { terminal } = this.output;
    if (terminal === undefined) this.output.out(`${this.title}: ${viewLine(view)}`);
    else draw(terminal, viewScreen(view, this.title, terminal.columns(), terminal.rows()));
  }
  /** The terminal is as it was. Again: does nothing. */
  stop(): void {
    if (this.timers.length === 0) return;
    process.off("exit", this.onExit);
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
    this.stopListening?.();
    this.output.terminal?.write(LEAVE);
  }
}

/** Line by line over what is there: clearing first would flicker. */
function draw(terminal: Terminal, lines: readonly string[]): void {
  terminal.write(`${HOME}${lines.map((line) => `${line}${REST_OF_LINE}`).join("\r\n")}${REST_OF_SCREEN}`);
}
