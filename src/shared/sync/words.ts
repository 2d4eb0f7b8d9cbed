/**
 * Where a primitive lives: a view of its 32-bit words in shared memory. The view is all there is: it may be posted to
 * other threads, or made anew there by `at()` with the same offset.
 *
 * `atomics-sync` allocates a buffer for each object. Here a caller may place many in one buffer. Two objects that are
 * hot on different threads should be 64 bytes apart, or they share a cache line.
 */
import { types } from "node:util";
import { InvalidError } from "./errors.ts";

/** The words of one primitive. */
export type SharedWords = Int32Array<SharedArrayBuffer>;

export const INT32_MAX_VALUE = 2 ** 31 - 1;
export const INT32_MIN_VALUE = -(2 ** 31);

/**
 * The view of `bytes` bytes at `byteOffset`.
 * @throws InvalidError  the buffer is not shared, or the offset is not a multiple of 4
 * @throws RangeError  the object would not lie inside the buffer
 */
export function wordsAt(buffer: SharedArrayBuffer, byteOffset: number, bytes: number): SharedWords {
  if (!types.isSharedArrayBuffer(buffer)) throw new InvalidError("the buffer must be a SharedArrayBuffer");
  if (!Number.isInteger(byteOffset) || byteOffset % Int32Array.BYTES_PER_ELEMENT !== 0) {
    throw new InvalidError(`byteOffset must be a multiple of ${Int32Array.BYTES_PER_ELEMENT}, not ${byteOffset}`);
  }
  if (byteOffset < 0 || byteOffset + bytes > buffer.byteLength) {
    throw new RangeError(`${bytes} bytes at offset ${byteOffset} do not lie in a buffer of ${buffer.byteLength} bytes`);
  }
  return new Int32Array(buffer, byteOffset, bytes / Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Checks an integer argument.
 * @throws InvalidError  not an integer
 * @throws RangeError  outside `min` to `max`
 */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value)) throw new InvalidError(`${name} must be an integer, not ${String(value)}`);
  if (value < min || value > max) throw new RangeError(`${name} must lie between ${min} and ${max}, not ${value}`);
}
