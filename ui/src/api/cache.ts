/** The one cache of answers: screens read it, routes fill it ahead. */
import { QueryClient } from "@tanstack/react-query";

import { ApiError } from "./client";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      // A server that says what is wrong will say the same again; one that does not answer may come back.
      retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 502),
      retryDelay: (count) => 400 * 2 ** count,
    },
  },
});
