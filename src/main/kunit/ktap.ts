/** Results as KTAP, version 1: Documentation/dev-tools/ktap.rst. Subtests are indented; diagnostics begin with "#". */
import type { CaseResult } from "./results.ts";

interface Count {
  pass: number;
  fail: number;
  skip: number;
}
const INDENT = "    ";

export class Ktap {
  private readonly suite: string;
  private readonly say: (line: string) => void;
  private readonly count: Count = { pass: 0, fail: 0, skip: 0 };
  private number = 0;
  private plan = 0;

  constructor(suite: string, say: (line: string) => void) {
    this.suite = suite;
    this.say = say;
  }

  /** @param plan  how many tests there will be. */
  start(plan: number): void {
    this.plan = plan;
    this.say("KTAP version 1");
    this.say("1..1");
    this.say(`${INDENT}KTAP version 1`);
    this.say(`${INDENT}# Subtest: ${this.suite}`);
    this.say(`${INDENT}1..${plan}`);
  }
  result(name: string, { state, lines }: CaseResult): void {
    this.number++;
    this.count[state === "ok" ? "pass" : state === "skipped" ? "skip" : "fail"]++;
    if (state !== "skipped") for (const line of lines) this.say(`${INDENT}# ${name}: ${line}`);
    const skip = state === "skipped" ? ` # SKIP ${lines.join(" ")}` : "";
    this.say(`${INDENT}${state === "failed" ? "not ok" : "ok"} ${this.number} ${name}${skip}`);
  }
  /** Whether a test has failed. */
  get failed(): boolean {
    return this.count.fail > 0;
  }
  /** @param trouble  what else went wrong than tests. @returns whether all is well. */
  end(trouble: readonly string[]): boolean {
    const { pass, fail, skip } = this.count;
    const totals = `pass:${pass} fail:${fail} skip:${skip} total:${pass + fail + skip}`;
    const missing = this.plan - this.number;
    const good = fail === 0 && missing === 0 && trouble.length === 0;
    if (missing > 0) this.say(`# ${missing} of ${this.plan} tests have not run to their end`);
    for (const line of trouble.flatMap((each) => each.split("\n"))) this.say(`# ${line}`);
    this.say(`# ${this.suite}: ${totals}`);
    this.say(`# Totals: ${totals}`);
    this.say(`${good ? "ok" : "not ok"} 1 ${this.suite}`);
    return good;
  }
}
