/** Why an answer did not come or could not be used, in words, and what can be done about it. */
import type { Schemas } from "../api/client";

type FailureCause = Schemas["FailureCause"];

const CAUSES: Record<FailureCause, { what: string; todo: string }> = {
  refused: { what: "The model refused", todo: "Another model or template may answer." },
  bad_answer: { what: "No label could be read from the answer", todo: "The model was asked once more; one that keeps to a JSON schema does better." },
  truncated: { what: "The answer was cut off", todo: "Allow longer answers." },
  timeout: { what: "No answer came in time", todo: "Allow more seconds, or fewer calls at the same time." },
  rate_limit: { what: "Turned away again and again", todo: "Ask more slowly: fewer calls at the same time or in a minute." },
  connection: { what: "The connection broke", todo: "Ask again; often it was a moment." },
  server: { what: "The provider had an error", todo: "Ask again later." },
  request: { what: "The provider did not accept the question", todo: "Look at the message; another model may take it." },
  auth: { what: "The key was not accepted", todo: "Set the right key in the environment, and start Featlas anew." },
};

const isCause = (name: string): name is FailureCause => name in CAUSES;

export const causeWords = (name: string): { what: string; todo: string } => (isCause(name) ? CAUSES[name] : { what: name, todo: "" });

/** Who of a query is left out of a labeling, by why. */
export const LEFT_OUT: Record<string, string> = {
  labeled: "have a label already",
  flagged: "have a flag that says what they are (dead, dense, duplicate …)",
  human: "were labeled by people",
  answered: "were answered before",
};
