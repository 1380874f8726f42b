import { useQuery } from "@tanstack/react-query";

import { ROOT } from "../api/client";
import { healthQuery } from "../api/queries";
import { Copy } from "../parts/Copy";
import { Empty } from "../parts/states";

/** Stands in place of the screen, which stays as it is behind it: it goes on once the browser is let in again. */
export function LockedOut() {
  useQuery({ ...healthQuery, refetchInterval: 3000 }); // its answer tells when there is access again
  const command = `featlas tokens login --url ${ROOT.href}`;
  return (
    <div role="alert">
      <Empty level={1} title="Your access has ended">
        <p>This server does not let this browser in any more: its login is over, or somebody revoked it.</p>
        <p className="mt-3">Ask whoever runs the server for a new address. They get it with</p>
        <p className="mt-2"><code className="[overflow-wrap:anywhere]">{command}</code> <Copy text={command} label="Copy the command" /></p>
        <p className="mt-3">Open that address in another tab of this browser; this page then goes on where it is.</p>
      </Empty>
    </div>
  );
}
