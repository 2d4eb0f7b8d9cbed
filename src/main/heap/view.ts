/** Typed views of single objects. */
import { HeapUsageError } from "./errors.ts";

/** Classes of views. */
export type ViewType =
  | Int8ArrayConstructor
  | Uint8ArrayConstructor
  | Uint8ClampedArrayConstructor
  | Int16ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor
  | DataViewConstructor;

interface Constructor<T> {
  new (buffer: SharedArrayBuffer, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT?: number;
}

const TypedArray = Object.getPrototypeOf(Uint8Array) as Uint8ArrayConstructor;
/** Also of what comes from JavaScript. */
function isViewType(type: unknown): boolean {
  return typeof type === "function" && (type === DataView || type.prototype instanceof TypedArray);
}

/**
 * @param bytes   what there is at `object`.
 * @param length  elements, or bytes of a DataView; undefined: as many as there is room for.
 * @throws HeapUsageError  it is not as many as that
 */
export function makeView<V extends ViewType>(
  buffer: SharedArrayBuffer,
  object: number,
  bytes: number,
  type: V,
  length?: number,
): V["prototype"] {
  const view = type as unknown as Constructor<V["prototype"]>;
  if (!isViewType(type)) throw new HeapUsageError("view(): needs a class of views, such as Float64Array");
  const room = Math.floor(bytes / (view.BYTES_PER_ELEMENT ?? 1));
  const wanted = length ?? room;
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > room) {
    const what = `${wanted} elements of ${type.name}`;
    throw new HeapUsageError(
      `view(0x${object.toString(16)}): there is no room for ${what}: the object has ${bytes} bytes`,
    );
  }
  return new view(buffer, object, wanted);
}
