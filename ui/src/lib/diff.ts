/** What two texts do not share, line by line: the longest common subsequence of lines. */

export type DiffLine = { kind: "same" | "gone" | "new"; text: string; before: number | null; after: number | null };

export function diffLines(before: string, after: string): DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  // Most of a prompt stays: what is equal at both ends needs no table.
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  const width = m + 1;
  const length = new Uint32Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      length[i * width + j] = a[head + i] === b[head + j] ? length[(i + 1) * width + j + 1]! + 1 : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  const lines: DiffLine[] = [];
  const same = (i: number, j: number) => lines.push({ kind: "same", text: a[i]!, before: i + 1, after: j + 1 });
  for (let i = 0; i < head; i++) same(i, i);
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (i < n && j < m && a[head + i] === b[head + j]) same(head + i++, head + j++);
    else if (i < n && (j === m || length[(i + 1) * width + j]! >= length[i * width + j + 1]!)) lines.push({ kind: "gone", text: a[head + i]!, before: head + ++i, after: null });
    else lines.push({ kind: "new", text: b[head + j]!, before: null, after: head + ++j });
  }
  for (let k = 0; k < tail; k++) same(head + n + k, head + m + k);
  return lines;
}

export type Hunk = { lines: DiffLine[]; nSkipped: number };

/** Changes with some lines around them; `nSkipped` equal lines stand before each, and after the last one. */
export function hunks(lines: DiffLine[], around = 2): Hunk[] {
  const isNear = lines.map((_, i) => lines.slice(Math.max(0, i - around), i + around + 1).some((line) => line.kind !== "same"));
  const found: Hunk[] = [];
  let nSkipped = 0;
  lines.forEach((line, i) => {
    if (!isNear[i]) nSkipped++;
    else if (i > 0 && isNear[i - 1]) found.at(-1)!.lines.push(line);
    else {
      found.push({ lines: [line], nSkipped });
      nSkipped = 0;
    }
  });
  if (nSkipped > 0 && found.length > 0) found.push({ lines: [], nSkipped });
  return found;
}
