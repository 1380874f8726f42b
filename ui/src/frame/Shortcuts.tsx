import { useRegisteredKeys } from "../lib/keys";
import { Dialog } from "../parts/Dialog";

const NAMES: Record<string, string> = { Escape: "Esc", ArrowLeft: "←", ArrowRight: "→" };

/** The sheet of what can be pressed right now, from the one registry. */
export default function Shortcuts({ onClose }: { onClose: () => void }) {
  const keys = useRegisteredKeys();
  const groups = [...new Set(keys.map((key) => key.group))];
  return (
    <Dialog title="Keyboard shortcuts" label="Keyboard shortcuts" onClose={onClose} width="640px">
      <div className="grid gap-x-8 gap-y-5 sm:grid-cols-2">
        {groups.map((group) => (
          <section key={group}>
            <h3 className="eyebrow mb-1.5">{group}</h3>
            <dl className="grid grid-cols-[4.5rem_1fr] gap-y-1 text-sm">
              {keys.filter((key) => key.group === group).map((key) => (
                <div key={key.keys} className="contents">
                  <dt>
                    {key.keys.split(" ").map((k) => (
                      <kbd key={k} className="mr-1 rounded border border-line bg-raised px-1.5 py-px text-xs">{NAMES[k] ?? k}</kbd>
                    ))}
                  </dt>
                  <dd>{key.label}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3 className="eyebrow mb-1.5">In a text</h3>
          <dl className="grid grid-cols-[4.5rem_1fr] gap-y-1 text-sm">
            <dt><kbd className="rounded border border-line bg-raised px-1.5 py-px text-xs">← →</kbd></dt>
            <dd>Walk the active tokens</dd>
          </dl>
        </section>
      </div>
      <p className="mt-5 text-sm text-muted">Single keys do nothing while a field has the focus.</p>
    </Dialog>
  );
}
