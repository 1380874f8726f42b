import { useState } from "react";

/** The newest answer there was: what is asked now may fail, and what was there before is still better than nothing. */
export function useLast<T>(data: T | undefined): T | undefined {
  const [last, setLast] = useState(data);
  if (data !== undefined && data !== last) setLast(data);
  return data ?? last;
}
