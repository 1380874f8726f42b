import { describe, expect, it } from "vitest";

import { readBlock } from "../src/api/blocks";

function block(header: object, data: Uint8Array): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((4 + text.length) / 8) * 8;
  const bytes = new Uint8Array(start + data.length);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, 4);
  bytes.set(data, start);
  return bytes.buffer;
}

describe("readBlock", () => {
  it("reads columns of every type, wherever they start", () => {
    const doubles = new Uint8Array(new Float64Array([1.5, Number.NaN]).buffer);
    const words = new Uint8Array(new Uint32Array([7, 4_000_000_000]).buffer);
    const data = new Uint8Array([...doubles, ...words, 9]);
    const { header, columns } = readBlock<{ note: string }>(
      block(
        {
          note: "größer", // more bytes than characters
          columns: [
            { name: "a", dtype: "<f8", offset: 0, length: 2 },
            { name: "b", dtype: "<u4", offset: 16, length: 2 },
            { name: "c", dtype: "|u1", offset: 24, length: 1 },
          ],
        },
        data,
      ),
    );
    expect(header.note).toBe("größer");
    expect([...columns.get("a")!]).toEqual([1.5, Number.NaN]);
    expect([...columns.get("b")!]).toEqual([7, 4_000_000_000]);
    expect([...columns.get("c")!]).toEqual([9]);
  });

  it("copies what is not aligned", () => {
    const data = new Uint8Array([0, 0, 0, 0, ...new Uint8Array(new Float64Array([2.25]).buffer)]);
    expect([...readBlock(block({ columns: [{ name: "a", dtype: "<f8", offset: 4, length: 1 }] }, data)).columns.get("a")!]).toEqual([2.25]);
  });

  it("refuses what is cut off or of a type it does not know", () => {
    expect(() => readBlock(new ArrayBuffer(2))).toThrow("shorter");
    expect(() => readBlock(new Uint8Array([255, 0, 0, 0, 1]).buffer)).toThrow("shorter");
    expect(() => readBlock(block({ columns: [{ name: "a", dtype: "<c8", offset: 0, length: 1 }] }, new Uint8Array(8)))).toThrow("<c8");
  });
});
