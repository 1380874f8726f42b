import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams, useRouterState } from "@tanstack/react-router";
import { BarChart3, ClipboardCheck, FileText, LibraryBig, ListChecks, Tags } from "lucide-react";
import { Suspense, lazy, useState } from "react";

import { healthQuery, runsQuery } from "../api/queries";
import { useIsLockedOut } from "../lib/access";
import { useKeys } from "../lib/keys";
import { nextTheme, setTheme, useTheme } from "../lib/theme";
import { useUnstored } from "../lib/unstored";
import { Bones } from "../parts/states";
import { Tip } from "../parts/Tip";
import { JobsPill } from "./JobsPill";
import { LockedOut } from "./LockedOut";
import { TopBar } from "./TopBar";

const Shortcuts = lazy(() => import("./Shortcuts"));

/** The SAE that "Features" leads to: the one in the address, else that of the newest run. */
function useCurrentSae(): string | undefined {
  const { sae } = useParams({ strict: false });
  const runs = useInfiniteQuery(runsQuery);
  return sae ?? runs.data?.pages[0]?.items[0]?.sae;
}

export function Frame() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  const sae = useCurrentSae();
  const navigate = useNavigate();
  const theme = useTheme();
  const isOut = useIsLockedOut();
  useKeys("Everywhere", {
    "g l": ["Go to the library", () => void navigate({ to: "/" })],
    ...(sae ? { "g f": ["Go to the features", () => void navigate({ to: "/s/$sae/features", params: { sae } })] } : {}),
    ...(sae ? { "g r": ["Go to the review queue", () => void navigate({ to: "/s/$sae/review", params: { sae } })] } : {}),
    ...(sae ? { "g b": ["Go to labeling", () => void navigate({ to: "/s/$sae/label", params: { sae } })] } : {}),
    "g t": ["Go to the templates", () => void navigate({ to: "/templates" })],
    "g j": ["Go to the jobs", () => void navigate({ to: "/jobs" })],
    T: ["Next theme: system, light, dark", () => setTheme(nextTheme(theme))],
    "?": ["Show these shortcuts", () => setHelpOpen(true)],
  });
  return (
    <div className="grid h-full grid-cols-[auto_minmax(0,1fr)] grid-rows-[auto_minmax(0,1fr)] max-sm:grid-cols-1 max-sm:grid-rows-[auto_minmax(0,1fr)_auto]">
      <button
        type="button"
        className="btn btn-main fixed top-2 left-2 z-50 not-focus:sr-only"
        onClick={() => document.getElementById("main")?.focus()}
      >
        Skip to the content
      </button>
      <Rail sae={sae} />
      <div className="col-start-2 row-start-1 max-sm:col-start-1">
        <Offline />
        <Unstored />
        <TopBar onHelp={() => setHelpOpen(true)} jobs={<JobsPill />} />
      </div>
      <main id="main" tabIndex={-1} className="col-start-2 row-start-2 min-h-0 overflow-auto outline-none max-sm:col-start-1">
        {isOut && <LockedOut />}
        <div className={isOut ? "hidden" : "contents"}>
          <Suspense fallback={<div className="p-6"><Bones rows={6} /></div>}>
            <Outlet />
          </Suspense>
        </div>
      </main>
      {isHelpOpen && (
        <Suspense>
          <Shortcuts onClose={() => setHelpOpen(false)} />
        </Suspense>
      )}
      <Tip />
      <div id="live" role="status" aria-live="polite" className="sr-only" />
    </div>
  );
}

const railLink =
  "flex size-10 flex-col items-center justify-center rounded-lg text-muted hover:bg-raised hover:text-fg data-[status=active]:bg-raised data-[status=active]:text-fg";

function Rail({ sae }: { sae: string | undefined }) {
  return (
    <nav
      aria-label="Screens"
      className="row-span-2 flex w-14 flex-col items-center gap-1.5 border-r border-line bg-surface py-2.5 max-sm:row-span-1 max-sm:row-start-3 max-sm:w-full max-sm:flex-row max-sm:justify-around max-sm:border-t max-sm:border-r-0 max-sm:py-1"
    >
      <Link to="/" className={railLink} activeOptions={{ exact: true }} title="Library (g l)" aria-label="Library">
        <LibraryBig size={19} aria-hidden />
      </Link>
      {sae && (
        <Link to="/s/$sae/features" params={{ sae }} className={railLink} activeOptions={{ includeSearch: false }} title="Features (g f)" aria-label="Features">
          <BarChart3 size={19} aria-hidden />
        </Link>
      )}
      {sae && (
        <Link to="/s/$sae/label" params={{ sae }} className={railLink} activeOptions={{ includeSearch: false }} title="Label (g b)" aria-label="Label">
          <Tags size={19} aria-hidden />
        </Link>
      )}
      {sae && (
        <Link to="/s/$sae/review" params={{ sae }} className={railLink} activeOptions={{ includeSearch: false }} title="Review (g r)" aria-label="Review">
          <ClipboardCheck size={19} aria-hidden />
        </Link>
      )}
      <Link to="/templates" className={railLink} activeOptions={{ includeSearch: false }} title="Templates (g t)" aria-label="Templates">
        <FileText size={19} aria-hidden />
      </Link>
      <Link to="/jobs" className={railLink} activeOptions={{ includeSearch: false }} title="Jobs (g j)" aria-label="Jobs">
        <ListChecks size={19} aria-hidden />
      </Link>
    </nav>
  );
}

/** Decisions of a review that could not be stored are told by its screen, and here to who has left that. */
function Unstored() {
  const unstored = useUnstored();
  const isThere = useRouterState({ select: ({ location }) => location.pathname.endsWith("/review") });
  if (unstored === null || isThere) return null;
  return (
    <p role="alert" className="flex flex-wrap items-center justify-center gap-3 bg-bad-wash px-4 py-1.5 text-sm">
      {unstored.n === 1 ? "A decision of your review was" : `${unstored.n} decisions of your review were`} not stored.
      <Link to="/s/$sae/review" params={{ sae: unstored.sae }} className="btn">Back to the review</Link>
    </p>
  );
}

/** Says so when the server is gone, and when it came back as another version than the page's. */
function Offline() {
  const health = useQuery(healthQuery);
  const [first, setFirst] = useState<string | null>(null);
  const version = health.data?.version ?? null;
  if (first === null && version !== null) setFirst(version);
  if (useIsLockedOut()) return null;
  if (health.isError) {
    return (
      <p role="alert" className="bg-bad-wash px-4 py-1.5 text-center text-sm">
        The Featlas server does not answer. What was loaded stays; <code>featlas serve</code> starts it again.
      </p>
    );
  }
  if (first !== null && version !== null && first !== version) {
    return (
      <p role="alert" className="flex items-center justify-center gap-3 bg-run-wash px-4 py-1.5 text-sm">
        The server is now version {version}.
        <button type="button" className="btn" onClick={() => location.reload()}>Reload</button>
      </p>
    );
  }
  return null;
}
