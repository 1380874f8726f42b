import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useLocation, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ChevronDown, CircleHelp, LogOut, Monitor, Moon, Sun } from "lucide-react";
import type { ReactNode } from "react";

import { logOut } from "../api/client";
import { healthQuery, runsQuery } from "../api/queries";
import type { Run } from "../api/types";
import * as format from "../lib/format";
import { setTheme, useTheme } from "../lib/theme";
import { Menu } from "../parts/Menu";

export function TopBar({ jobs, onHelp }: { jobs: ReactNode; onHelp: () => void }) {
  return (
    <header className="flex h-11 items-center gap-2 border-b border-line bg-surface px-3">
      <RunSwitcher />
      <div className="ml-auto flex items-center gap-1.5">
        {jobs}
        <ThemeSwitch />
        <Login />
        <button type="button" className="btn btn-quiet px-1.5" onClick={onHelp} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">
          <CircleHelp size={17} aria-hidden />
        </button>
      </div>
    </header>
  );
}

/** For those whom the server asked for a login: what they may do, and the way out. */
function Login() {
  const access = useQuery(healthQuery).data?.access ?? "open";
  if (access === "open") return null;
  return (
    <>
      {access === "read" && <span className="text-xs text-muted" title="You may look at everything and change nothing">read only</span>}
      <button type="button" className="btn btn-quiet px-1.5" onClick={() => void logOut()} aria-label="Log out" title="Log out">
        <LogOut size={16} aria-hidden />
      </button>
    </>
  );
}

const THEMES = [
  { value: "system", text: "As the system", icon: Monitor },
  { value: "light", text: "Light", icon: Sun },
  { value: "dark", text: "Dark", icon: Moon },
] as const;

function ThemeSwitch() {
  const theme = useTheme();
  const Icon = THEMES.find((t) => t.value === theme)?.icon ?? Monitor;
  return (
    <Menu
      trigger={<Icon size={16} aria-hidden />}
      label={`Theme: ${theme}`}
      title="Theme (T)"
      className="btn btn-quiet px-1.5"
      items={THEMES.map(({ value, text }) => ({ key: value, label: text, isChosen: value === theme, run: () => setTheme(value) }))}
    />
  );
}

/** The run that a page without `run=` means is the newest finished one of its SAE. */
function findRun(runs: Run[], sae: string, run: string | undefined): Run | undefined {
  const own = runs.filter((r) => r.sae === sae || String(r.sae_name) === sae);
  if (run === undefined) return own.find((r) => r.state === "finished") ?? own[0];
  return own.find((r) => String(r.id) === run || r.uid === run || r.name === run);
}

function RunSwitcher() {
  const { sae } = useParams({ strict: false });
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  // Who labels or reviews goes on with that in the other run.
  const screen = useLocation({ select: ({ pathname }) => /\/(label|review)\/?$/.exec(pathname)?.[1] ?? "features" });
  const query = useInfiniteQuery(runsQuery);
  const runs = (query.data?.pages ?? []).flatMap((page) => page.items);
  if (!sae) return <span className="text-sm font-semibold tracking-tight">Featlas</span>;
  const current = findRun(runs, sae, search.run);
  const newest = (run: Run) => findRun(runs, run.sae, undefined)?.id === run.id;
  const items = runs.map((run) => ({
    key: run.uid,
    label: <RunLine run={run} />,
    isChosen: run.id === current?.id,
    run: () =>
      void navigate({
        to: `/s/$sae/${screen as "features" | "label" | "review"}`,
        params: { sae: run.sae },
        search: { run: newest(run) ? undefined : String(run.id), q: search.q, sort: search.sort },
      }),
  }));
  return (
    <Menu
      align="start"
      label={`${current ? `${current.sae_name} ${current.name}` : sae}: switch the SAE or the run`}
      className="btn btn-quiet min-w-0 max-w-[min(62vw,560px)] text-fg"
      trigger={
        <>
          <span className="truncate">{current?.sae_name ?? sae}</span>{" "}
          {current && <span className="truncate text-muted max-sm:hidden">{current.name}</span>}
          <ChevronDown size={14} className="shrink-0 text-muted" aria-hidden />
        </>
      }
      items={items}
    />
  );
}

function RunLine({ run }: { run: Run }) {
  return (
    <span className="block min-w-0">
      <span className="block truncate font-medium">{run.sae_name}</span>
      <span className="block truncate text-xs text-muted">
        {run.name} · {run.model} · {run.hook_point} · {format.brief(run.n_features)} features · {format.brief(run.n_tokens)} tokens
        {run.state === "pending" && " · in progress"}
      </span>
    </span>
  );
}
