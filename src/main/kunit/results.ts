/**
 * What has become of each test: written by the thread of the CPU that runs the tests, read by the host meanwhile. It lies
 * in a small shared buffer beside the machine, so that a machine that has failed loses nothing of it.
 */
const HEADER_WORDS = 2;
/** Room for what a test has to say, ASCII; the rest is cut off. */
const TEXT_BYTES = 4000;
const CASE_BYTES = HEADER_WORDS * 4 + TEXT_BYTES;

const STATES = ["waiting", "running", "ok", "failed", "skipped"] as const;
type State = (typeof STATES)[number];

export interface CaseResult {
  readonly state: State;
  /** What failed, or was worth saying; of a skipped test the reason. */
  readonly lines: readonly string[];
}

export class KunitResults {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }
  static create(cases: number): KunitResults {
    return new KunitResults(new SharedArrayBuffer(cases * CASE_BYTES));
  }

  /** Text first: who sees the state sees it all. */
  set(index: number, state: State, lines: readonly string[] = []): void {
    const text = lines.join("\n").slice(0, TEXT_BYTES);
    const at = index * CASE_BYTES;
    for (let i = 0; i < text.length; i++) this.bytes[at + HEADER_WORDS * 4 + i] = text.charCodeAt(i);
    this.words[at / 4 + 1] = text.length;
    Atomics.store(this.words, at / 4, STATES.indexOf(state));
  }
  get(index: number): CaseResult {
    const at = index * CASE_BYTES;
    const state = STATES[Atomics.load(this.words, at / 4)];
    const start = at + HEADER_WORDS * 4;
    const text = String.fromCharCode(...this.bytes.subarray(start, start + this.words[at / 4 + 1]));
    return { state, lines: text === "" ? [] : text.split("\n") };
  }
}
