/** The payload oracle: a stamp that is whole is silent, and a broken one says what broke it. */
import { expect, test } from "vitest";
import { payload_check, payload_stamp } from "../../../src/shared/cpu/oracle_payload.ts";
import type { Ptr } from "../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../machine.ts";

const { cpus, map } = sequentialMachine();
const cpu = cpus[0];
const object = map.pages as Ptr;

test.each([8, 16, 24, 64, 100, 192, 4096])("%i bytes: whole, and any stamped word overwritten", (bytes) => {
  cpu.mem.fill(object, 8192, 0x5a);
  payload_stamp(cpu, object, bytes, 0, 8, 17);
  expect(payload_check(cpu, object, bytes, 0, 8, 17)).toBeUndefined();
  expect(cpu.mem.load_word(object)).toBe(0x5a5a5a5a); // The head is left alone,
  expect(cpu.mem.load_word(object + (bytes & ~3))).toBe(0x5a5a5a5a); // and what lies behind.
  for (let at = 8; at + 4 <= bytes; at += 4) {
    const old = cpu.mem.load_word(object + at);
    if (old === 0x5a5a5a5a) continue;
    cpu.mem.store_word(object + at, 0x1234);
    expect(payload_check(cpu, object, bytes, 0, 8, 17)).toMatch(
      new RegExp(`at \\+${at} is 0x1234: the object of generation 17 has been overwritten`),
    );
    cpu.mem.store_word(object + at, old);
  }
  expect(payload_check(cpu, object, bytes, 0, 8, 17)).toBeUndefined();
});

test("head anywhere", () => {
  payload_stamp(cpu, object, 64, 16, 16, 1);
  cpu.mem.fill(object + 16, 16, 0xff);
  expect(payload_check(cpu, object, 64, 16, 16, 1)).toBeUndefined();
  cpu.mem.store_word(object + 32, 0);
  expect(payload_check(cpu, object, 64, 16, 16, 1)).toMatch(/at \+32/);
});

test("freed, and given out again", () => {
  payload_stamp(cpu, object, 64, 0, 16, 5);
  cpu.mem.fill(object, 64, 0x6b);
  expect(payload_check(cpu, object, 64, 0, 16, 5)).toMatch(/is poison: the object of generation 5 has been freed/);
  payload_stamp(cpu, object, 64, 0, 16, 6);
  expect(payload_check(cpu, object, 64, 0, 16, 5)).toMatch(/is of generation 6, not 5: it was given out again/);
});
