import { setLockedOut } from "../lib/access";
import type { components } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

/** The address that the server gave this page by <base href>, so that any sub-path works. */
export const ROOT = new URL("./", document.baseURI);
const API = new URL("api/v1/", ROOT);

/** An answer that is not a success, or none at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | null;
  readonly url: string;

  constructor(status: number, problem: Problem | null, url: string, message: string) {
    super(message);
    this.status = status;
    this.problem = problem;
    this.url = url;
  }
}

export type Params = Record<string, string | number | null | undefined>;

export function apiUrl(path: string, params: Params = {}): URL {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, null, url.href, "The Featlas server does not answer.");
  }
  setLockedOut(response.status === 401);
  if (response.ok) return response;
  const problem = await readProblem(response);
  throw new ApiError(response.status, problem, url.href, problem?.detail || `${response.status} ${response.statusText}`);
}

async function readProblem(response: Response): Promise<Problem | null> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null && "title" in body ? (body as Problem) : null;
  } catch {
    return null;
  }
}

export async function get<T>(path: string, params?: Params, signal?: AbortSignal): Promise<T> {
  const response = await send(apiUrl(path, params), { signal: signal ?? null });
  return (await response.json()) as T;
}

export async function getBytes(path: string, params?: Params, signal?: AbortSignal): Promise<ArrayBuffer> {
  const response = await send(apiUrl(path, params), { signal: signal ?? null });
  return response.arrayBuffer();
}

const sendJson = (method: string, path: string, body: unknown, params?: Params, signal?: AbortSignal): Promise<Response> =>
  send(apiUrl(path, params), { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: signal ?? null });

export async function post<T>(path: string, body: unknown, params?: Params, signal?: AbortSignal): Promise<T> {
  return (await (await sendJson("POST", path, body, params, signal)).json()) as T;
}

export async function patch<T>(path: string, body: unknown): Promise<T> {
  return (await (await sendJson("PATCH", path, body)).json()) as T;
}

/** Ends this browser's login; what is asked for afterwards is answered by the way to a new one. */
export async function logOut(): Promise<void> {
  await send(new URL("logout", ROOT), { method: "POST" });
  location.reload();
}

export async function remove(path: string): Promise<void> {
  await send(apiUrl(path), { method: "DELETE" });
}
