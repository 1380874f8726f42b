/** Binary blocks: u32 n, n bytes of JSON header, padding to 8, then the columns' bytes. */

type ColumnSpec = { name: string; dtype: string; offset: number; length: number };
export type Column = Float64Array | Float32Array | Uint32Array | Int32Array | Uint8Array;
export type Block<H = Record<string, unknown>> = { header: H & { columns: ColumnSpec[] }; columns: Map<string, Column> };

const MAKE: Record<string, { bytes: number; of: (buffer: ArrayBuffer, at: number, length: number) => Column }> = {
  "<f8": { bytes: 8, of: (buffer, at, length) => new Float64Array(buffer, at, length) },
  "<f4": { bytes: 4, of: (buffer, at, length) => new Float32Array(buffer, at, length) },
  "<u4": { bytes: 4, of: (buffer, at, length) => new Uint32Array(buffer, at, length) },
  "<i4": { bytes: 4, of: (buffer, at, length) => new Int32Array(buffer, at, length) },
  "|u1": { bytes: 1, of: (buffer, at, length) => new Uint8Array(buffer, at, length) },
};

export function readBlock<H>(buffer: ArrayBuffer): Block<H> {
  if (buffer.byteLength < 4) throw new Error("a block of columns is shorter than its header");
  const n = new DataView(buffer).getUint32(0, true);
  if (4 + n > buffer.byteLength) throw new Error("a block of columns is shorter than its header");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, n))) as Block<H>["header"];
  const start = Math.ceil((4 + n) / 8) * 8;
  const columns = new Map<string, Column>();
  for (const { name, dtype, offset, length } of header.columns) {
    const make = MAKE[dtype];
    if (!make) throw new Error(`a column of unknown type ${dtype}: ${name}`);
    const at = start + offset;
    // A view costs nothing; where the bytes are not aligned for one, they are copied.
    columns.set(
      name,
      at % make.bytes === 0 ? make.of(buffer, at, length) : make.of(buffer.slice(at, at + length * make.bytes), 0, length),
    );
  }
  return { header, columns };
}
