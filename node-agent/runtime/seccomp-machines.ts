// The machines for which system call filters can be made: which architectures a program there may speak, and their calls' numbers.
import syscalls from "./generated/syscalls.json" with { type: "json" };

export type SeccompMachine = "x64" | "arm64";

export interface Abi {
  /** linux/audit.h: what the kernel says in seccomp_data. */
  readonly audit: number;
  /** Its name in config.json. */
  readonly oci: string;
  readonly numbers: Readonly<Record<string, number>>;
  /** From this number on they are another one's calls, which shares the audit number. */
  readonly foreignFrom?: number;
}

export interface Architecture {
  /** In the words of profiles' conditions. */
  readonly architecture: string;
  /** The machine's own first. */
  readonly abis: readonly Abi[];
}

const architectures: Readonly<Record<SeccompMachine, Architecture>> = {
  x64: {
    architecture: "amd64",
    abis: [
      { audit: 0xc000003e, oci: "SCMP_ARCH_X86_64", numbers: syscalls.x86_64, foreignFrom: 0x4000_0000 },
      { audit: 0x40000003, oci: "SCMP_ARCH_X86", numbers: syscalls.x86 },
    ],
  },
  arm64: {
    architecture: "arm64",
    abis: [
      { audit: 0xc00000b7, oci: "SCMP_ARCH_AARCH64", numbers: syscalls.aarch64 },
      { audit: 0x40000028, oci: "SCMP_ARCH_ARM", numbers: syscalls.arm },
    ],
  },
};

export function architectureOf(machine: SeccompMachine): Architecture {
  return architectures[machine];
}

/** Of this machine; throws with what a user can do where no filter can be made. */
export function ownSeccompMachine(): SeccompMachine {
  const { arch } = process;
  if (arch === "x64" || arch === "arm64") return arch;
  throw new Error(
    `no system call filter can be made for machines of type ${arch}: seccompProfile has to be Unconfined`,
  );
}
