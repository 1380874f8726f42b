import { describe, expect, it } from "vitest";

import type { Job, Worker, Workers } from "../src/api/types";
import { misfits, unserved, workersText } from "../src/lib/workers";

const worker = (queues: string[], more: Partial<Worker> = {}): Worker => ({
  host: "gpu-1", pid: 7, queues, version: "0.2.0", started_at: "2026-01-01T00:00:00Z", seen_at: "2026-01-01T00:00:00Z", is_alive: true, ...more,
});
const team = (items: Worker[], has_runner = false): Workers => ({ items, has_runner, version: "0.2.0" });
const queued = (queue: string, state: Job["state"] = "queued") => ({ queue, state }) as Job;

describe("workers", () => {
  it("are told by what they work on", () => {
    expect(workersText(team([]))).toBe("");
    expect(workersText(team([worker(["light"])]))).toBe("1 worker on light");
    const three = [worker(["extraction", "labeling"]), worker(["light"]), worker(["extraction", "labeling"]), worker(["light"], { is_alive: false })];
    expect(workersText(team(three))).toBe("3 workers: 2 on extraction, labeling; 1 on light");
  });

  it("are missed where a job is queued that none takes", () => {
    const jobs = [queued("extraction"), queued("extraction"), queued("light"), queued("labeling", "running")];
    expect(unserved(jobs, team([worker(["light"])]))).toEqual([["extraction", 2]]);
    expect(unserved(jobs, team([], true))).toEqual([]);
    expect(unserved(jobs, team([worker(["extraction", "light"], { is_alive: false })]))).toEqual([["extraction", 2], ["light", 1]]);
  });

  it("of another version are found", () => {
    const old = worker(["light"], { version: "0.1.0" });
    expect(misfits(team([old, worker(["light"])]))).toEqual([old]);
    expect(misfits(team([{ ...old, is_alive: false }]))).toEqual([]);
  });
});
