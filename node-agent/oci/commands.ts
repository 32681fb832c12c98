// All commands of naru-oci: one file and one line each.
import type { Command } from "./command.ts";
import { createCommand } from "./commands/create.ts";
import { deleteCommand } from "./commands/delete.ts";
import { execCommand } from "./commands/exec.ts";
import { featuresCommand } from "./commands/features.ts";
import { killCommand } from "./commands/kill.ts";
import { listCommand } from "./commands/list.ts";
import { pauseCommand, resumeCommand } from "./commands/pause.ts";
import { psCommand } from "./commands/ps.ts";
import { runCommand } from "./commands/run.ts";
import { specCommand } from "./commands/spec.ts";
import { startCommand } from "./commands/start.ts";
import { stateCommand } from "./commands/state.ts";
import { updateCommand } from "./commands/update.ts";

export const commands: readonly Command[] = [
  createCommand,
  startCommand,
  stateCommand,
  killCommand,
  deleteCommand,
  runCommand,
  execCommand,
  listCommand,
  psCommand,
  pauseCommand,
  resumeCommand,
  updateCommand,
  featuresCommand,
  specCommand,
];
