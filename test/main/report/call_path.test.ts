/** The path of kernel functions on the JavaScript stack. */
import { expect, test } from "vitest";
import { callPath } from "../../../src/main/report/call_path.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import { run_interrupt } from "../../../src/shared/cpu/interrupt.ts";
import { FIRST_FREE_CALLBACK } from "../../../src/shared/layout/callbacks.ts";
import { P_NMI } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import type { CallbackId } from "../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../machine.ts";

const access = (): readonly string[] => callPath().functions;
const kfree_rcu_nolock = (): readonly string[] => access();

test("names the functions from the outermost one inwards, and not the test runner", () => {
  const operation = (): readonly string[] => kfree_rcu_nolock();
  expect(operation()).toEqual(["operation", "kfree_rcu_nolock", "access"]);
});

test("functions without a name are left out", () => {
  const programs = { cpus: [() => kfree_rcu_nolock()] };
  expect(programs.cpus[0]()).toEqual(["kfree_rcu_nolock", "access"]);
});

test("an interrupt's path begins with its handler", () => {
  const { cpus } = sequentialMachine();
  const [cpu] = cpus;
  let path: readonly string[] = [];
  const nmi = (): void => {
    path = kfree_rcu_nolock();
  };
  bind_callback(FIRST_FREE_CALLBACK as CallbackId, nmi);
  cpu.mem.poke(cpu.globals, Globals.offset.nmi_handler, FIRST_FREE_CALLBACK as CallbackId);
  const interrupted = (): void => run_interrupt(cpu, P_NMI);
  interrupted();
  expect(path).toEqual(["nmi", "kfree_rcu_nolock", "access"]);
});

test("leaves the formatting of stacks as it was", () => {
  const before = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 7;
  callPath();
  expect(Object.getOwnPropertyDescriptor(Error, "prepareStackTrace")).toEqual(before);
  expect(Error.stackTraceLimit).toBe(7);
  Error.stackTraceLimit = stackTraceLimit;
  expect(typeof new Error("text").stack).toBe("string");
});
