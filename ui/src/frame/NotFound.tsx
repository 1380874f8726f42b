import { Link } from "@tanstack/react-router";

import { Empty } from "../parts/states";

export function NotFound() {
  return (
    <Empty level={1} title="There is no such page">
      <Link to="/" className="btn">To the library</Link>
    </Empty>
  );
}
