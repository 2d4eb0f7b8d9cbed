/** What the benches say: lines for people, rows for programs. */
import os from "node:os";
import { type Comparison, type Figures, TIME } from "./compare.ts";
import { medianRatio, spreadOf } from "./stats.ts";

/** One row of `--json`. Its keys are an interface: add to them, change none. */
export interface Result {
  readonly bench: string;
  readonly subject: string;
  /** null: measured by itself. */
  readonly peer: string | null;
  /** subject_ns / peer_ns, the median of the runs. */
  readonly ratio: number | null;
  /** null: nothing was done in the time. */
  readonly subject_ns: number | null;
  readonly peer_ns: number | null;
  /** CPU time of an operation, all threads together; null: of a metric, or unknown. */
  readonly subject_cpu_ns: number | null;
  readonly peer_cpu_ns: number | null;
  readonly threads: number;
  /** All threads ran at the same time, on both sides; otherwise ignore the row. */
  readonly overlapped: boolean;
  readonly runs: number;
}

const NS_METRICS: readonly string[] = [TIME, "p50", "p99", "cost"];

/** Of a comparison, one for each metric in ns and each peer. */
export function resultsOf(comparison: Comparison): readonly Result[] {
  const metrics = metricsOf(comparison).filter((metric) => NS_METRICS.includes(metric));
  const { subject, peers } = comparison;
  return metrics.flatMap((metric) =>
    peers.length === 0
      ? [resultOf(comparison, metric, undefined)]
      : peers.map((peer) => resultOf(comparison, metric, peer)),
  );
  function resultOf(c: Comparison, metric: string, peer: Figures | undefined): Result {
    const values = valuesOf(subject, metric);
    const peerValues = peer === undefined ? undefined : valuesOf(peer, metric);
    return {
      bench: metric === TIME ? c.case.bench : `${c.case.bench} ${metric}`,
      subject: subject.name,
      peer: peer?.name ?? null,
      ratio: peerValues === undefined ? null : finite(medianRatio(values, peerValues)),
      subject_ns: finite(spreadOf(values).median),
      peer_ns: peerValues === undefined ? null : finite(spreadOf(peerValues).median),
      subject_cpu_ns: cpuOf(metric, subject),
      peer_cpu_ns: peer === undefined ? null : cpuOf(metric, peer),
      threads: c.case.threads,
      overlapped: subject.overlapped && (peer?.overlapped ?? true),
      runs: values.length,
    };
  }
}
function metricsOf({ case: { metrics = [TIME] } }: Comparison): readonly string[] {
  return metrics;
}
export function valuesOf({ values }: Figures, metric: string): readonly number[] {
  return values.get(metric) ?? [];
}
function cpuOf(metric: string, { cpuNs }: Figures): number | null {
  return metric === TIME ? finite(spreadOf(cpuNs).median) : null;
}
function finite(n: number): number | null {
  return Number.isFinite(n) ? n : null;
}

/** Below this share of a core, a single thread's times say more about the machine than about the thread. */
const BUSY = 0.8;
const NAME_WIDTH = 46;
const COLUMNS = ["median", "min", "spread", "CPU", "ratio"] as const;
const COLUMN_WIDTH = 11;

export function comparisonLines(comparison: Comparison): readonly string[] {
  const { case: c, subject, peers, skipped } = comparison;
  const lines = metricsOf(comparison).flatMap((metric) => {
    const what = metric === TIME ? "" : `, ${metric}`;
    const title = `${c.bench}${what}, ${plural(c.threads, "thread")}`;
    return [
      title.padEnd(NAME_WIDTH) + COLUMNS.map((column) => column.padStart(COLUMN_WIDTH)).join(""),
      line(subject, metric, undefined),
      ...peers.map((peer) => line(peer, metric, subject)),
    ];
  });
  return [...lines, ...skipped.map((text) => `  ${text}`)];
}
/** @param subject  what is compared with this one; undefined: it is the subject itself */
function line(figures: Figures, metric: string, subject: Figures | undefined): string {
  const values = valuesOf(figures, metric);
  const { median, min, spread } = spreadOf(values);
  const cpu = metric === TIME ? quantity(spreadOf(figures.cpuNs).median, metric) : "";
  const ratio = subject === undefined ? "" : ratioText(medianRatio(valuesOf(subject, metric), values));
  const columns = [quantity(median, metric), quantity(min, metric), percent(spread), cpu, ratio];
  const name = `  ${labelOf(figures)}`.padEnd(NAME_WIDTH);
  const numbers = columns.map((column) => column.padStart(COLUMN_WIDTH)).join("");
  return (name + numbers + remark(figures, metric)).trimEnd();
}
function labelOf({ name, version }: Figures): string {
  return version.startsWith(name) ? version : `${name} (${version})`;
}
function remark({ overlapped, share }: Figures, metric: string): string {
  if (!overlapped) return "  not overlapped, ignore";
  return metric === TIME && share < BUSY ? `  ran ${percent(share)} of the time` : "";
}

/** With its unit: ns, unless it is about memory. */
export function quantity(value: number, metric: string): string {
  if (!Number.isFinite(value)) return "-";
  if (metric === "bytes") return `${value.toFixed(1)} B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} ms`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} us`;
  return `${value.toFixed(value < 100 ? 2 : 0)} ns`;
}
function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(share * 100)} %` : "-";
}
export function ratioText(ratio: number): string {
  if (!Number.isFinite(ratio)) return "-";
  return ratio < 0.1 ? ratio.toFixed(4) : ratio.toFixed(2);
}
function plural(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/** What the numbers were measured on. */
export interface MachineDescription {
  readonly cpu: string;
  readonly cores: number;
  readonly load: number;
  readonly memory_gib: number;
  readonly system: string;
  readonly node: string;
  readonly v8: string;
  /** Of this process. A contender's own are in subjects/contenders.ts. */
  readonly flags: readonly string[];
}
export function describeMachine(): MachineDescription {
  return {
    cpu: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    load: os.loadavg()[0],
    memory_gib: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    v8: process.versions.v8,
    flags: process.execArgv,
  };
}
export function machineLines(machine: MachineDescription): readonly string[] {
  const { cpu, cores, load, memory_gib, system, node, v8, flags } = machine;
  const busy = load > cores / 2 ? `: busy, expect nothing of these numbers` : "";
  return [
    `${cpu}, ${plural(cores, "core")}, ${memory_gib} GiB, ${system}`,
    `Node ${node}, V8 ${v8}${flags.length === 0 ? "" : `, flags ${flags.join(" ")}`}, load ${load.toFixed(1)}${busy}`,
  ];
}
