import { useQuery } from "@tanstack/react-query";
import { useDeferredValue } from "react";

import { categoriesQuery } from "../api/reviewQueries";
import type { Written } from "../lib/candidates";
import { plural } from "../lib/format";
import { SuggestField } from "./SuggestField";

/** What a person says of a feature: a label, a place in the tree of categories, a sentence. */
export function LabelFields({ sae, value, onChange }: { sae: string; value: Written; onChange: (next: Written) => void }) {
  const categories = useQuery(categoriesQuery(sae, useDeferredValue(value.category_label)));
  const offers = (categories.data?.items ?? []).map(({ path, n }) => ({ text: path.join(" > "), hint: plural(n, "feature") }));
  return (
    <>
      <label className="block text-xs font-medium">
        Label
        <input className="field mt-0.5 w-full" required maxLength={200} value={value.semantic_label} autoFocus placeholder="two to eight words" onChange={(event) => onChange({ ...value, semantic_label: event.target.value })} />
      </label>
      <div className="text-xs font-medium">
        <span aria-hidden>Category</span>
        <SuggestField label="Category" value={value.category_label} offers={offers} maxLength={200} placeholder="Language > Syntax" onChange={(text) => onChange({ ...value, category_label: text })} />
      </div>
      <label className="block text-xs font-medium">
        Explanation
        <textarea
          className="field mt-0.5 w-full" rows={2} maxLength={4000} value={value.explanation} placeholder="a sentence, if the label needs one" title="Ctrl+Enter saves"
          onChange={(event) => onChange({ ...value, explanation: event.target.value })}
          onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.currentTarget.form?.requestSubmit()}
        />
      </label>
    </>
  );
}
