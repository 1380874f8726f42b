import { useEffect } from "react";

/** The tab's title; the share of a running job stands before it. */
export function useTitle(title: string) {
  useEffect(() => {
    const share = document.title.match(/^\d+ % · /)?.[0] ?? "";
    document.title = `${share}${title ? `${title} · ` : ""}Featlas`;
  }, [title]);
}
