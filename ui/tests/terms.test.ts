import { describe, expect, it } from "vitest";

import type { QueryPart } from "../src/api/types";
import { addTerm, bound, categoryTerm, quoted, rangeTerm, readRange, replaceTerm, toggleTerm, tokenTerm } from "../src/lib/terms";

/** Parts as the server gives them for a query of terms side by side. */
function partsOf(...texts: string[]): QueryPart[] {
  let start = 0;
  return texts.map((text, i) => {
    const part = { text, start, end: start + text.length, without: texts.filter((_, k) => k !== i).join(" ") };
    start = part.end + 1;
    return part;
  });
}

describe("writing terms", () => {
  it("escapes what the language escapes", () => {
    expect(quoted('a "b" \\ c\n')).toBe(String.raw`"a \"b\" \\ c\n"`);
    expect(tokenTerm(" court")).toBe('token:" court"');
    expect(tokenTerm(String.raw`\xf0\x9f`)).toBe(String.raw`token:"\xf0\x9f"`);
    expect(tokenTerm("\\")).toBe(String.raw`token:"\\"`);
    expect(categoryTerm(["Language", 'A "B"'])).toBe(String.raw`category:"Language > A \"B\""`);
  });
  it("writes bounds with three digits", () => {
    expect(bound(0.000123456)).toBe("1.23e-4");
    expect(bound(1e-5)).toBe("1e-5");
    expect(bound(0.0316227766)).toBe("0.0316");
    expect(bound(1234.5)).toBe("1230");
    expect(bound(0)).toBe("0");
    expect(rangeTerm("density", 1e-4, null)).toBe("density:1e-4..");
  });
});

describe("changing a query", () => {
  const parts = partsOf("court", "density:1e-4..1e-2", "is:dead");
  const q = "court density:1e-4..1e-2 is:dead";
  it("adds, and takes out what is there", () => {
    expect(addTerm("", "is:dead")).toBe("is:dead");
    expect(toggleTerm(q, parts, "is:labeled")).toBe(`${q} is:labeled`);
    expect(toggleTerm(q, parts, "IS:dead")).toBe("court density:1e-4..1e-2");
    expect(toggleTerm("category:Language", partsOf("category:Language"), 'category:"Language"')).toBe("");
  });
  it("replaces the part on a field, by any of its names", () => {
    expect(replaceTerm(q, parts, ["activation_frequency", "density"], "density:..0.1")).toBe("court is:dead density:..0.1");
    expect(replaceTerm(q, parts, ["density"], null)).toBe("court is:dead");
    expect(replaceTerm("a", [], ["density"], null)).toBe("a");
  });
  it("reads the ends of a part, to draw them", () => {
    expect(readRange(parts[1])).toEqual([1e-4, 1e-2]);
    expect(readRange(partsOf("density:>=0.1")[0])).toEqual([0.1, Infinity]);
    expect(readRange(partsOf("max_activation:..5")[0])).toEqual([-Infinity, 5]);
    expect(readRange(parts[0])).toBeNull();
    expect(readRange(undefined)).toBeNull();
  });
});
