// naru-oci ps: a container's processes, as the host numbers them.
import { processesOf } from "../../runtime/cgroup-files.ts";
import { readOptional } from "../../runtime/container-directory.ts";
import { type Command, requireId } from "../command.ts";
import { cgroupLayout } from "../container-cgroup.ts";
import { directoryOf, readConfig, readRecord } from "../state.ts";
import { formatOf, printTable } from "./list.ts";

export const psCommand: Command = {
  name: "ps",
  usage: "ps [--format table|json] <id>",
  help: "print a container's processes",
  options: [{ name: "format", short: "f", value: "format", help: "table or json" }],
  takesProgram: true,
  run(args, { root }) {
    const id = requireId(args);
    const record = readRecord(root, id);
    const layout = cgroupLayout(readConfig(directoryOf(root, id), record));
    const pids = layout === undefined ? [] : processesOf(layout, record.cgroupPath);
    if (formatOf(args) === "json") console.log(JSON.stringify(pids));
    else printTable([["UID", "PID", "PPID", "CMD"], ...pids.map(describe)]);
    return 0;
  },
};

function describe(pid: number): readonly string[] {
  const status = readOptional(`/proc/${pid}/status`) ?? "";
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
  const command = (readOptional(`/proc/${pid}/cmdline`) ?? "").split("\0").join(" ").trim();
  return [field("Uid"), String(pid), field("PPid"), command === "" ? `[${field("Name")}]` : command];
}
