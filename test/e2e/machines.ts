// Machines for a test: network namespaces with addresses of their own, on which it starts `naru server` and `naru agent` by hand, as the
// README's "Real machines" says.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { openHosts } from "../../node-agent/network/hosts.ts";
import { naruPath, newPlace, type Output, runProgram } from "./cluster.ts";
import { type Place, removeRemains } from "./remains.ts";

export interface Machine {
  readonly name: string;
  readonly address: string;
  /** Runs a program there to its end. */
  run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Output>;
  /** Starts a program there that the machines' end ends; its output goes to its log in the place's data folder. */
  start(program: string, args: readonly string[]): ChildProcess;
  /** Makes it a node; `words` are further ones for `naru agent`. */
  join(server: string, token: string, words?: readonly string[]): ChildProcess;
}

export interface Machines extends AsyncDisposable {
  readonly place: Place;
  readonly list: readonly Machine[];
}

/** Disposal kills all that was started and removes what it left. */
export async function openMachines(names: readonly string[]): Promise<Machines> {
  const place = await newPlace();
  const { name: cluster, dataDir, runDir, launcherPath } = place;
  try {
    const hosts = await openHosts({ cluster, hosts: names, runDir, launcherPath });
    return {
      place,
      list: hosts.list.map(({ name, address, networkPath }) => {
        const there = (program: string, args: readonly string[]) => ["netns-run", networkPath, "--", program, ...args];
        const start = (program: string, args: readonly string[]) => {
          const log = openSync(join(dataDir, `${name}.log`), "a");
          const child = spawn(launcherPath, there(program, args), { stdio: ["ignore", log, log] });
          closeSync(log);
          return child;
        };
        return {
          name,
          address,
          run: (program, args, env = {}) =>
            runProgram(launcherPath, there(program, args), { env: { ...process.env, ...env } }),
          start,
          join: (server, token, words = []) =>
            start(naruPath, [
              ...["agent", "--server", server, "--join", token, "--name", name],
              ...words,
              // Machines of their own would need none of these: here all share one file system.
              ...["--data", join(dataDir, name), "--run", join(runDir, name), "--cgroup", `${place.cgroup}/${name}`],
            ]),
        };
      }),
      [Symbol.asyncDispose]: () => removeRemains(place),
    };
  } catch (error) {
    await removeRemains(place);
    throw error;
  }
}
