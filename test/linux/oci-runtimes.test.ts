// Containers that other OCI runtimes make (runc, crun), against the kernel: what the built-in runtime does has to hold for them. Needs root.
import { runtimeContract } from "../../node-agent/runtime/contract.ts";
import { ociNames, ociProgram } from "../oci-programs.ts";
import { openRig } from "./rig.ts";

for (const name of ociNames)
  runtimeContract(name, async () => openRig({ ociPrograms: [await ociProgram(name)] }, { runtime: name }));
