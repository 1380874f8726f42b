import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** The token sheet as it is shipped, in both themes. */
const sheet = readFileSync(new URL("../src/tokens.css", import.meta.url), "utf8");
const TOKENS = new Map([...sheet.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)].map(([, name, light, dark]) => [name!, { light: light!, dark: dark! }]));

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].toSorted((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** Text needs 4.5, what only has to be seen (bars, borders of controls, the focus) 3. */
export const PAIRS: [front: string, back: string, least: number][] = [
  ...["bg", "surface", "raised", "data-wash", "bad-wash", "run-wash", "ok-wash"].map((back): [string, string, number] => ["fg", back, 7]),
  ...["bg", "surface", "raised", "data-wash"].map((back): [string, string, number] => ["muted", back, 4.5]),
  ["data-text", "surface", 4.5], ["data-text", "data-wash", 4.5], ["data-text", "bg", 4.5],
  ["data", "surface", 3], ["data", "bg", 3],
  ["edge", "surface", 3], ["edge", "bg", 3],
  ["focus", "surface", 3], ["focus", "bg", 3], ["focus", "raised", 3],
  ["ok", "ok-wash", 4.5], ["bad", "bad-wash", 4.5], ["run", "run-wash", 4.5],
  ["ok", "surface", 4.5], ["bad", "surface", 4.5], ["run", "surface", 4.5], ["run", "raised", 3],
  ["surface", "fg", 7], ["fg", "selection", 7],
  ...[1, 2, 3, 4, 5].map((n): [string, string, number] => [`on-step-${n}`, `step-${n}`, 4.5]),
  ["underline", "surface", 3],
];

describe.each(["light", "dark"] as const)("%s theme", (theme) => {
  const color = (name: string): string => {
    const token = TOKENS.get(name);
    if (!token) throw new Error(`no token --${name}`);
    return token[theme];
  };
  it.each(PAIRS)("%s on %s has at least %d", (front, back, least) => {
    expect(contrast(color(front), color(back))).toBeGreaterThanOrEqual(least);
  });
  it("steps of an activation are told apart, each stronger than the one before", () => {
    const away = [1, 2, 3, 4, 5].map((n) => contrast(color(`step-${n}`), color("surface")));
    for (let i = 1; i < away.length; i++) expect(away[i]! / away[i - 1]!).toBeGreaterThan(1.1);
  });
});

it("DESIGN.md tells the ratios as they are", () => {
  const told = readFileSync(new URL("../DESIGN.md", import.meta.url), "utf8");
  const rows = PAIRS.map(([front, back, least]) => {
    const ratio = (theme: "light" | "dark") => contrast(TOKENS.get(front)![theme], TOKENS.get(back)![theme]).toFixed(1);
    return `| \`${front}\` on \`${back}\` | ${least} | ${ratio("light")} | ${ratio("dark")} |`;
  });
  for (const row of rows) expect(told).toContain(row);
});

it("no colour stands outside of the sheet", () => {
  const css = readFileSync(new URL("../src/index.css", import.meta.url), "utf8") + readFileSync(new URL("../src/token-text.css", import.meta.url), "utf8");
  expect([...css.matchAll(/#[0-9a-f]{3,6}\b/gi)].map(([hex]) => hex)).toEqual([]);
});
