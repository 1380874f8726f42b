import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";

import { client } from "./api/cache";
import { ROOT } from "./api/client";
import { matchesQuery } from "./api/queries";
import { Frame } from "./frame/Frame";
import { labelSearch } from "./lib/labeling";
import { compareSearch, featureSearch, featuresSearch, parseSearch, reviewSearch, stringifySearch, templateSearch, text } from "./lib/search";
import { FeaturesScreen } from "./screens/features/FeaturesScreen";
import { LibraryScreen } from "./screens/library/LibraryScreen";
import { NotFound } from "./frame/NotFound";

const root = createRootRoute({ component: Frame, notFoundComponent: NotFound });

const library = createRoute({ getParentRoute: () => root, path: "/", component: LibraryScreen });

const sae = createRoute({
  getParentRoute: () => root,
  path: "/s/$sae",
  beforeLoad: ({ params, location }) => {
    if (/\/s\/[^/]+\/?$/.test(location.pathname)) throw redirect({ to: "/s/$sae/features", params });
  },
});

const features = createRoute({
  getParentRoute: () => root,
  path: "/s/$sae/features",
  validateSearch: featuresSearch,
  loaderDeps: ({ search: { run, q, sort } }) => ({ run, q, sort }),
  // Asked for before anything is drawn; whatever becomes of it, the screen says.
  loader: ({ params, deps }) => void client.prefetchQuery(matchesQuery({ ...params, ...deps })),
  component: FeaturesScreen,
});

const feature = createRoute({
  getParentRoute: () => root,
  path: "/s/$sae/f/$index",
  validateSearch: featureSearch,
  component: lazyRouteComponent(() => import("./screens/feature/FeatureScreen"), "FeatureScreen"),
});

const review = createRoute({
  getParentRoute: () => root,
  path: "/s/$sae/review",
  validateSearch: reviewSearch,
  component: lazyRouteComponent(() => import("./screens/review/ReviewScreen"), "ReviewScreen"),
});

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  validateSearch: (search: Record<string, unknown>): { state?: string | undefined } => ({ state: text(search["state"]) }),
  component: lazyRouteComponent(() => import("./screens/jobs/JobsScreen"), "JobsScreen"),
});

const job = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$job",
  component: lazyRouteComponent(() => import("./screens/jobs/JobScreen"), "JobScreen"),
});

const label = createRoute({
  getParentRoute: () => root,
  path: "/s/$sae/label",
  validateSearch: labelSearch,
  component: lazyRouteComponent(() => import("./screens/label/LabelScreen"), "LabelScreen"),
});

const compare = createRoute({
  getParentRoute: () => root,
  path: "/labelings/compare",
  validateSearch: compareSearch,
  component: lazyRouteComponent(() => import("./screens/compare/CompareScreen"), "CompareScreen"),
});

const templates = createRoute({
  getParentRoute: () => root,
  path: "/templates",
  component: lazyRouteComponent(() => import("./screens/templates/TemplatesScreen"), "TemplatesScreen"),
});

const newTemplate = createRoute({
  getParentRoute: () => root,
  path: "/templates/new",
  validateSearch: templateSearch,
  component: lazyRouteComponent(() => import("./screens/templates/TemplateScreen"), "NewTemplateScreen"),
});

const template = createRoute({
  getParentRoute: () => root,
  path: "/templates/$ref",
  validateSearch: templateSearch,
  component: lazyRouteComponent(() => import("./screens/templates/TemplateScreen"), "TemplateScreen"),
});

export const router = createRouter({
  routeTree: root.addChildren([library, sae, features, feature, review, jobs, job, label, compare, templates, newTemplate, template]),
  basepath: ROOT.pathname,
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
