/**
 * struct(): C-like structs at byte offsets of the shared buffer, typed so that misuse does not compile.
 *
 * A declaration names each field once. `offset.x` is a plain number at run time; its type carries the owner struct,
 * the kind of access (plain or atomic) and the type of the value, so `mem.read(slab, FLAGS)` fails to compile when
 * FLAGS belongs to another struct or is atomic. Users destructure offsets into module constants, which V8 folds.
 *
 * Layout is LP64: u32 takes 4 bytes, pointers and longs take 8 and are 8-aligned; the value of an 8-byte slot is its
 * low word. Offsets are multiples of 4, which leaves bit 0 free: it is set in the offset of an 8-byte slot, so a
 * store knows that it has to clear the high word too (Memory shifts the bit out when it forms the word index).
 */

declare const POINTEE: unique symbol;
declare const FIELD: unique symbol;
declare const INNER: unique symbol;
declare const CALLBACK: unique symbol;

/** Byte address of a T in the shared buffer; 0 is NULL. */
export type Ptr<T extends string = string> = number & { readonly [POINTEE]: T };
export const NULL = 0 as Ptr<never>;

/** Number of a bound function (layout/callbacks.ts): what a function pointer is here. */
export type CallbackId = number & { readonly [CALLBACK]: true };

export type Access = "plain" | "atomic";
/** Offset of a scalar field of struct S. */
export type Field<S extends string, A extends Access = Access, V extends number = number> = number & {
  readonly [FIELD]: { readonly owner: S; readonly access: A; readonly value: V };
};
/** Offset of a struct T embedded in struct S. */
export type Inner<S extends string, T extends string> = number & {
  readonly [INNER]: { readonly owner: S; readonly type: T };
};
/** Offset of the first element of an array in S; element() gives the others. */
export type ArrayField<S extends string, A extends Access, V extends number> = Field<S, A, V> & {
  readonly array: true;
};
export type InnerArray<S extends string, T extends string> = Inner<S, T> & { readonly array: true };

/** In the offset of an 8-byte slot. */
export const WIDE = 1;

export interface ScalarSpec<A extends Access = Access, V extends number = number> {
  readonly kind: "scalar";
  readonly size: 4 | 8;
  readonly access: A;
  readonly ctype: string;
  readonly value?: V;
}
export interface ArraySpec<E> {
  readonly kind: "array";
  readonly of: E;
  readonly count: number;
}
/** A field with a stricter alignment, or one that shares the bytes of an earlier field (a union member). */
export interface PlacedSpec<E> {
  readonly kind: "placed";
  readonly spec: E;
  readonly align?: number;
  readonly over?: string;
}
export interface FieldInfo {
  readonly name: string;
  readonly ctype: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes; 0 for a flexible array. */
  readonly size: number;
  readonly access: Access | "struct";
  readonly count: number;
  readonly struct: StructDef<string, FieldSpecs> | undefined;
}
export interface StructDef<S extends string, F> {
  readonly kind: "struct";
  readonly name: S;
  /** Bytes, padded to `align`. */
  readonly size: number;
  readonly align: number;
  readonly offset: Offsets<S, F>;
  readonly fields: readonly FieldInfo[];
}
/** What a struct is, whatever its fields: for code that only needs sizes and names. */
export interface AnyStruct {
  readonly kind: "struct";
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly FieldInfo[];
}
type Basic = ScalarSpec | AnyStruct;
type Spec = Basic | ArraySpec<Basic> | PlacedSpec<Basic | ArraySpec<Basic>>;
export type FieldSpecs = { readonly [name: string]: Spec };
type OffsetOf<S extends string, X> =
  X extends ScalarSpec<infer A, infer V>
    ? Field<S, A, V>
    : X extends PlacedSpec<infer E>
      ? OffsetOf<S, E>
      : X extends ArraySpec<infer E>
        ? E extends ScalarSpec<infer A, infer V>
          ? ArrayField<S, A, V>
          : E extends { readonly kind: "struct"; readonly name: infer T extends string }
            ? InnerArray<S, T>
            : never
        : X extends { readonly kind: "struct"; readonly name: infer T extends string }
          ? Inner<S, T>
          : never;
export type Offsets<S extends string, F> = { readonly [K in keyof F]: OffsetOf<S, F[K]> };

function scalar<A extends Access, V extends number>(size: 4 | 8, access: A, ctype: string): ScalarSpec<A, V> {
  return { kind: "scalar", size, access, ctype };
}

/** A 32-bit word that only one owner, or the holder of a lock, touches. */
export const u32 = scalar<"plain", number>(4, "plain", "u32");
/** A 32-bit word that several CPUs, or a CPU and its own interrupts, touch. */
export const atomic32 = scalar<"atomic", number>(4, "atomic", "atomic_t");
export const ulong = scalar<"plain", number>(8, "plain", "unsigned long");
export const atomic_long = scalar<"atomic", number>(8, "atomic", "atomic_long_t");
/** A function pointer. */
export const callback = scalar<"plain", CallbackId>(8, "plain", "callback");
/** A pointer under a lock or with one owner. */
export function ptr<T extends string>(to: T): ScalarSpec<"plain", Ptr<T>> {
  return scalar(8, "plain", `${to} *`);
}
/** A pointer that is read or changed without a lock. */
export function atomic_ptr<T extends string>(to: T): ScalarSpec<"atomic", Ptr<T>> {
  return scalar(8, "atomic", `${to} * (atomic)`);
}
/** `count` elements; 0 makes a flexible array at the end of a struct. */
export function array<E extends Basic>(of: E, count: number): ArraySpec<E> {
  return { kind: "array", of, count };
}
/** Start this field on a multiple of `align` bytes (64: a cache line of its own). */
export function aligned<E extends Basic | ArraySpec<Basic>>(align: number, spec: E): PlacedSpec<E> {
  return { kind: "placed", spec, align };
}
/** A union member: lies over the earlier field `over`, and must not be larger. */
export function overlay<E extends Basic | ArraySpec<Basic>>(over: string, spec: E): PlacedSpec<E> {
  return { kind: "placed", spec, over };
}

interface Shape {
  readonly size: number;
  readonly align: number;
  readonly wide: boolean;
  readonly ctype: string;
  readonly access: Access | "struct";
  readonly count: number;
  readonly struct: AnyStruct | undefined;
}
function shapeOf(spec: Basic | ArraySpec<Basic>): Shape {
  if (spec.kind === "array") {
    const element = shapeOf(spec.of);
    return { ...element, size: element.size * spec.count, count: spec.count };
  }
  if (spec.kind === "struct") {
    const { size, align, name } = spec;
    return { size, align, wide: false, ctype: `struct ${name}`, access: "struct", count: 1, struct: spec };
  }
  const { size, access, ctype } = spec;
  return { size, align: size, wide: size === 8, ctype, access, count: 1, struct: undefined };
}
const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/**
 * Declares a struct.
 * @param options.align  minimum alignment of the whole struct in bytes (64: starts and ends on cache lines).
 * @throws TypeError when an overlay names no earlier field or does not fit over it.
 */
export function struct<const S extends string, const F extends FieldSpecs>(
  name: S,
  specs: F,
  options: { readonly align?: number } = {},
): StructDef<S, F> {
  const fields: FieldInfo[] = [];
  const offset: { [name: string]: number } = {};
  let end = 0;
  let align = options.align ?? 4;
  for (const [field, spec] of Object.entries(specs)) {
    const placed = spec.kind === "placed" ? spec : undefined;
    const shape = shapeOf(spec.kind === "placed" ? spec.spec : spec);
    const fieldAlign = Math.max(shape.align, placed?.align ?? 1);
    let start = roundUp(end, fieldAlign);
    if (placed?.over !== undefined) {
      const base = fields.find((f) => f.name === placed.over);
      if (base === undefined) throw new TypeError(`${name}.${field}: overlays unknown field ${placed.over}`);
      if (shape.size > base.size)
        throw new TypeError(`${name}.${field}: larger than ${placed.over}, which it overlays`);
      start = base.offset;
    } else {
      end = start + shape.size;
    }
    align = Math.max(align, fieldAlign);
    offset[field] = start | (shape.wide ? WIDE : 0);
    const { ctype, size, access, count } = shape;
    fields.push({
      name: field,
      ctype,
      offset: start,
      size,
      access,
      count,
      struct: shape.struct as FieldInfo["struct"],
    });
  }
  return { kind: "struct", name, size: roundUp(end, align), align, offset: offset as Offsets<S, F>, fields };
}

/** &p->f for an embedded struct. */
export function embedded<S extends string, T extends string>(p: Ptr<NoInfer<S>>, f: Inner<S, T>): Ptr<T> {
  return (p + f) as Ptr<T>;
}
/** The S that the embedded T belongs to. */
export function container_of<S extends string, T extends string>(p: Ptr<NoInfer<T>>, f: Inner<S, T>): Ptr<S> {
  return (p - f) as Ptr<S>;
}
/** Offset of element i of a scalar array. */
export function element<S extends string, A extends Access, V extends number>(
  f: ArrayField<S, A, V>,
  i: number,
): Field<S, A, V> {
  return ((f + (i << (f & WIDE ? 3 : 2))) | 0) as Field<S, A, V>; // As whole numbers: V8 then looks for no overflow.
}
/** The low word of an 8-byte slot, for who knows that the high one is 0 already. */
export function low_word<S extends string, A extends Access, V extends number>(f: Field<S, A, V>): Field<S, A, V> {
  return (f & ~WIDE) as Field<S, A, V>;
}
/** &p->f[i] for an array of structs of `size` bytes. */
export function embedded_at<S extends string, T extends string>(
  p: Ptr<NoInfer<S>>,
  f: InnerArray<S, T>,
  i: number,
  size: number,
): Ptr<T> {
  return (p + f + i * size) as Ptr<T>;
}
/** Byte offset of a field from the start of its struct: what C calls offsetof. */
export function offsetof(f: Field<string, Access, number>): number {
  return f & ~WIDE;
}
