/** Runs the administrator's tools; kept under this name for those who know it here. */

export { runTool, type ToolOutcome } from "../command.ts";
