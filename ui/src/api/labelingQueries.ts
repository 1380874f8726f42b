/** Questions about labeling by language models and its templates; apart from `queries`, because only their screens ask them. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get, post, type Schemas } from "./client";
import type { Labeling, LabelingPlan, PreviewedPrompt, PromptTemplate, PromptVariables, PromptWording } from "./types";

export type Spec = Record<string, unknown>;

export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: ({ signal }) => get<Schemas["Providers"]>("providers", {}, signal),
  staleTime: 60_000,
});

/** What a labeling would take; `null` is a spec that is not complete yet. */
export const planQuery = (spec: Spec | null) =>
  queryOptions({
    queryKey: ["plan", JSON.stringify(spec)],
    queryFn: ({ signal }) => post<LabelingPlan>("labelings/plan", { spec }, {}, signal),
    enabled: spec !== null,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });

/** The exact question about a feature, in the spec's template or in a wording that is not saved. */
export const previewQuery = (spec: Spec | null, feature: number | null, wording?: PromptWording) =>
  queryOptions({
    queryKey: ["preview", JSON.stringify(spec), feature, wording ? JSON.stringify(wording) : ""],
    queryFn: ({ signal }) =>
      post<PreviewedPrompt>(
        "labelings/preview",
        { spec, feature_index: feature, ...(wording ? { wording: { system: wording.system_text, user: wording.user_text, evidence: wording.evidence } } : {}) },
        {},
        signal,
      ),
    enabled: spec !== null && feature !== null,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });

/**
 * A job's counts; `state` is where the job is known to be, so that they are read again when that changes.
 * A job that ended does not stand still: a retry or a person labels what failed in it, so it is read at each visit.
 */
export const labelingQuery = (job: number, state = "") =>
  queryOptions({
    queryKey: ["labeling", job, state],
    queryFn: ({ signal }) => get<Labeling>(`labelings/${job}`, {}, signal),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });

/** The labeling jobs of an SAE, newest first, without dry runs. */
export const labelingsQuery = (sae: string) =>
  infiniteQueryOptions({
    queryKey: ["labelings", sae],
    queryFn: ({ pageParam, signal }) => get<Schemas["Labelings"]>("labelings", { sae, after: pageParam, limit: 30 }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
  });

export type LabelFilter = { status?: string | undefined; cause?: string | undefined; linted?: "true" | undefined };

export const jobLabelsQuery = (job: number, filter: LabelFilter) =>
  infiniteQueryOptions({
    queryKey: ["job-labels", job, filter.status ?? "", filter.cause ?? "", filter.linted ?? ""],
    queryFn: ({ pageParam, signal }) => get<Schemas["JobLabels"]>(`labelings/${job}/labels`, { ...filter, after: pageParam, limit: 60 }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    staleTime: 0,
  });

/** The newest few that failed for a cause, for their messages. */
export const failuresQuery = (job: number, cause: string, n: number) =>
  queryOptions({
    queryKey: ["failures", job, cause, n],
    queryFn: ({ signal }) => get<Schemas["JobLabels"]>(`labelings/${job}/labels`, { cause, status: "failed", limit: 20 }, signal),
    placeholderData: keepPreviousData,
  });

export type Which = "different" | "same" | "all";

export const compareQuery = (a: number, b: number, which: Which) =>
  infiniteQueryOptions({
    queryKey: ["compare", a, b, which],
    queryFn: ({ pageParam, signal }) => get<Schemas["LabelingComparison"]>("labelings/compare", { a, b, which, after: pageParam, limit: 100 }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });

export const answerQuery = (label: number) =>
  queryOptions({
    queryKey: ["answer", label],
    queryFn: ({ signal }) => get<Schemas["KeptAnswer"]>(`labels/${label}/answer`, {}, signal),
    staleTime: Infinity,
  });

export const templatesQuery = queryOptions({
  queryKey: ["templates"],
  queryFn: ({ signal }) => get<Schemas["PromptTemplates"]>("templates", {}, signal),
});

export const templateQuery = (ref: string, version?: number) =>
  queryOptions({
    queryKey: ["template", ref, version ?? 0],
    queryFn: ({ signal }) => get<PromptTemplate>(`templates/${encodeURIComponent(ref)}`, { version }, signal),
  });

/** The template that a label was made with; a version never changes. */
export const templateOfVersionQuery = (version: number) =>
  queryOptions({
    queryKey: ["template-of-version", version],
    queryFn: ({ signal }) => get<PromptTemplate>(`templates/of-version/${version}`, {}, signal),
    staleTime: Infinity,
  });

export const versionsQuery = (ref: string) =>
  queryOptions({
    queryKey: ["template-versions", ref],
    queryFn: ({ signal }) => get<Schemas["PromptVersions"]>(`templates/${encodeURIComponent(ref)}/versions`, {}, signal),
  });

export const variablesQuery = queryOptions({
  queryKey: ["template-variables"],
  queryFn: ({ signal }) => get<PromptVariables>("templates/variables", {}, signal),
  staleTime: Infinity,
});

export const checkQuery = (wording: PromptWording) =>
  queryOptions({
    queryKey: ["template-check", JSON.stringify(wording)],
    queryFn: ({ signal }) => post<Schemas["WordingCheck"]>("templates/validate", wording, {}, signal),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
  });
