import { X } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";

type Props = { title: ReactNode; label: string; onClose: () => void; width?: string; actions?: ReactNode; children: ReactNode };

/** The browser's own modal dialog: it traps the focus, closes on Esc and gives the focus back. */
export function Dialog({ title, label, onClose, width = "720px", actions, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    // Not the first button: a key pressed at once should mean the dialog, and Tab goes on from here.
    if (!dialog.current?.querySelector("[autofocus], form")) dialog.current?.focus();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    // Esc does for the keyboard what a click beside it does for the pointer.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
    <dialog
      ref={dialog}
      aria-label={label}
      tabIndex={-1}
      className="modal outline-none"
      style={{ width }}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === event.currentTarget && onClose()}
    >
      <div className="flex max-h-[calc(100dvh-34px)] flex-col">
        <header className="flex items-center gap-2 border-b border-line px-4 py-2.5">
          <h2 className="min-w-0 flex-1 truncate text-sm">{title}</h2>
          {actions}
          <button type="button" className="btn btn-quiet" onClick={onClose} aria-label="Close"><X size={16} aria-hidden /></button>
        </header>
        <div className="min-h-0 overflow-auto p-4" tabIndex={-1}>{children}</div>
      </div>
    </dialog>
  );
}
