// What an instruction of a Dockerfile is, once read. Words that hold variables stay as written: what they mean is known when it runs.
import type { Position } from "../build.ts";
import type { CheckDirective, Heredoc } from "./lines.ts";

/** The exec form is a list; the shell form a line. */
export type CommandLine =
  | { readonly form: "exec"; readonly args: readonly string[] }
  | { readonly form: "shell"; readonly line: string };

export interface Pair {
  readonly key: string;
  readonly value: string;
}

export type RunMount = {
  readonly target: string | undefined;
  readonly readonly: boolean;
} & (
  | { readonly type: "bind"; readonly from: string | undefined; readonly source: string }
  | {
      readonly type: "cache";
      readonly id: string | undefined;
      readonly from: string | undefined;
      readonly source: string;
      readonly sharing: "shared" | "private" | "locked";
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly type: "tmpfs"; readonly sizeBytes: number | undefined }
  | {
      readonly type: "secret";
      readonly id: string | undefined;
      readonly env: string | undefined;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
);

export type InstructionBody =
  | {
      readonly kind: "FROM";
      readonly image: string;
      readonly platform: string | undefined;
      readonly name: string | undefined;
    }
  | { readonly kind: "ARG"; readonly args: readonly { readonly name: string; readonly value: string | undefined }[] }
  | { readonly kind: "ENV"; readonly pairs: readonly Pair[] }
  | { readonly kind: "LABEL"; readonly pairs: readonly Pair[] }
  | { readonly kind: "MAINTAINER"; readonly name: string }
  | {
      readonly kind: "RUN";
      readonly command: CommandLine;
      readonly mounts: readonly RunMount[];
      readonly network: "default" | "none" | "host" | undefined;
      readonly heredocs: readonly Heredoc[];
    }
  | CopyBody
  | { readonly kind: "CMD"; readonly command: CommandLine }
  | { readonly kind: "ENTRYPOINT"; readonly command: CommandLine }
  | { readonly kind: "WORKDIR"; readonly path: string }
  | { readonly kind: "USER"; readonly user: string }
  | { readonly kind: "STOPSIGNAL"; readonly signal: string }
  | { readonly kind: "EXPOSE"; readonly ports: readonly string[] }
  | { readonly kind: "VOLUME"; readonly paths: readonly string[] }
  | { readonly kind: "SHELL"; readonly args: readonly string[] }
  | {
      readonly kind: "HEALTHCHECK";
      readonly command: CommandLine | undefined;
      readonly intervalNs: number;
      readonly timeoutNs: number;
      readonly startPeriodNs: number;
      readonly startIntervalNs: number;
      readonly retries: number;
    }
  | { readonly kind: "ONBUILD"; readonly trigger: string };

export interface CopyBody {
  readonly kind: "COPY" | "ADD";
  readonly sources: readonly string[];
  readonly destination: string;
  /** Files whose content stands in the Dockerfile itself. */
  readonly heredocs: readonly Heredoc[];
  readonly from: string | undefined;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly link: boolean;
  /** Keeps the directories of the sources' paths. */
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly checksum: string | undefined;
  /** ADD only: whether archives are unpacked; absent: local ones are. */
  readonly unpack: boolean | undefined;
  /** ADD of a git repository: with its ".git". */
  readonly keepGitDir: boolean;
}

export type Instruction = InstructionBody & {
  readonly position: Position;
  readonly endLine: number;
  /** As written, in one line: what history and progress show. */
  readonly text: string;
  /** Its first word as written. */
  readonly keyword: string;
};

export interface Stage {
  readonly index: number;
  readonly from: Extract<Instruction, { kind: "FROM" }>;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  readonly file: string;
  readonly escapeMark: "\\" | "`";
  readonly check: CheckDirective;
  /** Arguments before the first FROM. */
  readonly args: readonly Extract<Instruction, { kind: "ARG" }>[];
  readonly stages: readonly Stage[];
  /** For the lines of a failed step. */
  readonly lines: readonly string[];
}
