import { useEffect, useState } from "react";

const LATE_MS = 150;

/** True once something has been so for a while: most answers come sooner, and what pales meanwhile is painted twice. */
export function useLate(isSo: boolean): boolean {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    if (!isSo) return undefined;
    const timer = window.setTimeout(() => setLate(true), LATE_MS);
    return () => {
      window.clearTimeout(timer);
      setLate(false);
    };
  }, [isSo]);
  return isSo && isLate;
}
