import { describe, expect, it } from "vitest";

import { labelCommand, labelingSpec, labelSearch, queryOf, readNumber, searchOfQuery, searchOfSpec } from "../src/lib/labeling";
import { parseSearch, stringifySearch } from "../src/lib/search";

describe("numbers that somebody types", () => {
  it.each([["5", 5], [" 1,000 ", 1000], ["1 000 000", 1_000_000], ["0", 0]])("%s is whole", (typed, n) => expect(readNumber(typed, "whole")).toBe(n));
  it.each(["", "1.5", "-3", "abc", "1e3", "5 %"])("%s is not whole", (typed) => expect(readNumber(typed, "whole")).toBeNull());
  it.each([["0.05", 0.05], [".5", 0.5], ["1e-3", 0.001], ["1,000.5", 1000.5]])("%s is a number", (typed, n) => expect(readNumber(typed, "number")).toBe(n));
  it.each(["", "-1", "1.2.3", "$5", "NaN", "Infinity"])("%s is no number", (typed) => expect(readNumber(typed, "number")).toBeNull());
});

describe("the address of a labeling", () => {
  it("means the unlabeled features where it says nothing", () => {
    expect(queryOf(labelSearch({}))).toBe("is:unlabeled");
    expect(queryOf(labelSearch({ q: "density:1e-3.." }))).toBe("density:1e-3..");
    expect(queryOf(labelSearch({ all: "1" }))).toBe("");
    expect(queryOf(labelSearch({ ...searchOfQuery("") }))).toBe("");
  });
  it("leaves out what is the default, and what cannot be", () => {
    const found = labelSearch({ q: "is:unlabeled", concurrency: "5", timeout_s: "90", budget: "lots", provider: "oracle", answer_format: "schema", relabel: "yes" });
    expect(stringifySearch(found)).toBe("?timeout_s=90");
  });
  it("comes back from its text", () => {
    const search = labelSearch({ q: 'token:" a" -is:dead', provider: "compatible", model: "qwen:7b", relabel: "1", rules: "off", budget: "0.05", retry_of: "7", at: "12", dry: "3" });
    expect(labelSearch(parseSearch(stringifySearch(search)))).toEqual(search);
  });
});

describe("the spec", () => {
  it("has what was chosen and nothing else", () => {
    const search = labelSearch({ q: "is:unlabeled", model: "gpt-x", concurrency: "8", budget: "0.5", rules: "off" });
    expect(labelingSpec(search, 1, "openai")).toEqual({ run: "1", provider: "openai", query: "is:unlabeled", rules: false, model: "gpt-x", concurrency: 8, budget: 0.5 });
  });
  it("has both prices or none", () => {
    expect(labelingSpec(labelSearch({ price_in: "1" }), 1, "openai")).not.toHaveProperty("price_in");
    expect(labelingSpec(labelSearch({ price_in: "1", price_out: "2" }), 1, "openai")).toMatchObject({ price_in: 1, price_out: 2 });
  });
  it("of the offline labeler has nothing about asking", () => {
    expect(labelingSpec(labelSearch({ all: "1", model: "x", budget: "1", template: "rare" }), 2, "lexical")).toEqual({ run: "2", provider: "lexical" });
  });
  it("of a job becomes an address that says the same", () => {
    const job = { run: "uid", provider: "openai", model: "gpt-4o-mini", template: "abc@2", relabel: true, rules: false, query: "", retry_of: null, dry_run: 5, budget: 0.5, concurrency: 5, temperature: null, answer_format: "text" };
    const search = searchOfSpec(job, "1", 9);
    expect(labelingSpec(search, search.run!, search.provider!)).toEqual({
      run: "1", provider: "openai", model: "gpt-4o-mini", template: "abc@2", relabel: true, rules: false, retry_of: 9, budget: 0.5, answer_format: "text",
    });
    expect(search.dry).toBeUndefined();
  });
});

it("the command line says the same as the spec", () => {
  const spec = labelingSpec(labelSearch({ q: 'token:" a"', relabel: "1", rules: "off", template: "my own", requests_per_minute: "60" }), 3, "openai");
  expect(labelCommand(spec).replaceAll(" \\\n ", "")).toBe(
    `featlas label 3 --query 'token:" a"' --no-rules --relabel --provider openai --template 'my own' --requests-per-minute 60`,
  );
});
