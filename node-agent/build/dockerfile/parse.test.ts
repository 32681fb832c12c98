// Dockerfiles read, and refused with their place.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Dockerfiles look so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDockerfile } from "./parse.ts";
import { expandWord } from "./words.ts";

/** Instructions without the fields that every one has. */
function bodies(text: string): readonly unknown[] {
  const { args, stages } = parseDockerfile(text);
  return [...args, ...stages.flatMap(({ from, instructions }) => [from, ...instructions])].map(
    ({ position, endLine, text: _, keyword: __, ...body }) => ({ at: `${position.line}-${endLine}`, ...body }),
  );
}

function refusal(text: string): string {
  try {
    parseDockerfile(text);
    return "none";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test("continued lines, comments between them and heredocs are one instruction in parseDockerfile", () => {
  const text = `# syntax=docker/dockerfile:1
# a comment
ARG base=alpine
from $base:3 as One

RUN --mount=type=cache,target=/c,sharing=locked,mode=0700 \\
    # in between

    make \\
  && test
RUN <<-EOT cat <<'B' > /x
	one $HOME
	EOT
two
B
ENV a=b "c d"='e f'
ENV old value with blanks`;
  assert.deepEqual(bodies(text), [
    { at: "3-3", kind: "ARG", args: [{ name: "base", value: "alpine" }] },
    { at: "4-4", kind: "FROM", image: "$base:3", platform: undefined, name: "one" },
    {
      at: "6-10",
      kind: "RUN",
      command: { form: "shell", line: "make   && test" },
      mounts: [
        {
          ...{ type: "cache", target: "/c", readonly: false, id: undefined, from: undefined, source: "/" },
          ...{ sharing: "locked", mode: 0o700, uid: 0, gid: 0 },
        },
      ],
      network: undefined,
      heredocs: [],
    },
    {
      at: "11-15",
      kind: "RUN",
      command: { form: "shell", line: "<<-EOT cat <<'B' > /x" },
      mounts: [],
      network: undefined,
      heredocs: [
        { name: "EOT", content: "one $HOME\n", expands: true },
        { name: "B", content: "two\n", expands: false },
      ],
    },
    {
      at: "16-16",
      kind: "ENV",
      pairs: [
        { key: "a", value: "b" },
        { key: '"c d"', value: "'e f'" },
      ],
    },
    { at: "17-17", kind: "ENV", pairs: [{ key: "old", value: "value with blanks" }] },
  ]);
});

test("every instruction's own grammar is read in parseDockerfile", () => {
  const text = `# escape=\`
FROM --platform=linux/amd64 scratch
MAINTAINER ann
COPY --from=0 --chown=1:2 --chmod=755 --link a* "b c" /d/
ADD --checksum=sha256:${"0".repeat(64)} https://h/x.tar \`
  /x
COPY ["a b", "/c"]
COPY <<f.txt /etc/
hello
f.txt
CMD ["a", "b"]
ENTRYPOINT exec a
WORKDIR /w
USER 1:2
STOPSIGNAL SIGINT
EXPOSE 80/tcp 90
VOLUME ["/v"]
SHELL ["/bin/bash", "-c"]
HEALTHCHECK --interval=1m30s --retries=3 CMD curl x
ONBUILD RUN make
LABEL a.b="c" d=e`;
  const copy = {
    ...{ heredocs: [], from: undefined, chown: undefined, chmod: undefined, link: false, parents: false },
    ...{ exclude: [], checksum: undefined, unpack: undefined, keepGitDir: false },
  };
  assert.deepEqual(
    bodies(text).map((body) => {
      const { at, ...rest } = body as { at: string };
      return rest;
    }),
    [
      { kind: "FROM", image: "scratch", platform: "linux/amd64", name: undefined },
      { kind: "MAINTAINER", name: "ann" },
      {
        ...copy,
        ...{ kind: "COPY", sources: ["a*", '"b c"'], destination: "/d/" },
        ...{ from: "0", chown: "1:2", chmod: "755", link: true },
      },
      {
        ...copy,
        ...{ kind: "ADD", sources: ["https://h/x.tar"], destination: "/x", checksum: `sha256:${"0".repeat(64)}` },
      },
      { ...copy, kind: "COPY", sources: ["a b"], destination: "/c" },
      {
        ...copy,
        ...{ kind: "COPY", sources: [], destination: "/etc/" },
        heredocs: [{ name: "f.txt", content: "hello\n", expands: true }],
      },
      { kind: "CMD", command: { form: "exec", args: ["a", "b"] } },
      { kind: "ENTRYPOINT", command: { form: "shell", line: "exec a" } },
      { kind: "WORKDIR", path: "/w" },
      { kind: "USER", user: "1:2" },
      { kind: "STOPSIGNAL", signal: "SIGINT" },
      { kind: "EXPOSE", ports: ["80/tcp", "90"] },
      { kind: "VOLUME", paths: ["/v"] },
      { kind: "SHELL", args: ["/bin/bash", "-c"] },
      {
        ...{ kind: "HEALTHCHECK", intervalNs: 90e9, timeoutNs: 0, startPeriodNs: 0, startIntervalNs: 0, retries: 3 },
        command: { form: "shell", line: "curl x" },
      },
      { kind: "ONBUILD", trigger: "RUN make" },
      {
        kind: "LABEL",
        pairs: [
          { key: "a.b", value: '"c"' },
          { key: "d", value: "e" },
        ],
      },
    ],
  );
});

for (const [text, expected] of [
  ["", "Dockerfile:1:1: has no FROM: an image to begin with, or scratch, is expected"],
  ["\nRUN x", "Dockerfile:2:1: RUN: FROM is expected first, with the image to begin with"],
  ["FROM a\n  CPOY a b", "Dockerfile:2:3: unknown instruction CPOY (did you mean COPY?); expected one of "],
  ["FROM", "Dockerfile:1:5: FROM: an image, such as alpine:3.20, or scratch is expected"],
  ["FROM a b c", "Dockerfile:1:8: FROM: takes an image, and perhaps AS and a name"],
  ["FROM a AS x\nFROM b AS X", "Dockerfile:2:1: FROM: a stage x is there already, in line 1"],
  ["FROM a\nCOPY --form=x a b", "Dockerfile:2:6: COPY: does not know --form; it takes --chown, "],
  ["FROM a\nCOPY \\\n  --chown a b", "Dockerfile:3:3: COPY: --chown takes a value: --chown=…"],
  ["FROM a\nCOPY a", "Dockerfile:2:6: COPY: takes at least one source, and a destination"],
  ["FROM a\nENV a", 'Dockerfile:2:5: ENV: "a" has no value: a=value is expected'],
  ["FROM a\nENV a=b c", 'Dockerfile:2:9: ENV: "c" is not KEY=value: a value with blanks stands in quotes'],
  ["FROM a\nRUN <<E\nx", "Dockerfile:2:1: the heredoc <<E has no end: a line that is E"],
  [
    "FROM a\nRUN --mount=type=cash,target=/x y",
    'Dockerfile:2:5: RUN: --mount: type "cash" is none of bind, cache, tmpfs, secret',
  ],
  ["FROM a\nSHELL x", 'Dockerfile:2:7: SHELL: a list in JSON is expected, such as ["/bin/bash", "-c"]'],
  [
    "FROM a\nHEALTHCHECK --interval=3 CMD x",
    'Dockerfile:2:13: HEALTHCHECK: --interval takes a time of 1ms or more, as 30s, got "3"',
  ],
  ["FROM a\nONBUILD FROM b", "Dockerfile:2:9: ONBUILD: FROM cannot be a trigger"],
] as const) {
  test(`${JSON.stringify(text)} is refused with its place in parseDockerfile`, () => {
    assert.equal(refusal(text).slice(0, expected.length), expected);
  });
}

test("variables take a shell's forms in expandWord", () => {
  const values: Readonly<Record<string, string>> = { a: "A", empty: "", path: "x/y/z.tar.gz", stars: "*a*b*" };
  const expand = (text: string) => {
    try {
      return expandWord(text, (name) => values[name], "\\");
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };
  assert.deepEqual(
    [
      "$a-${a}b",
      "${none:-d$a}${empty:-e}${empty-f}",
      "${a:+set}${none:+set}${empty:+set}${empty+set}",
      "'$a'\"$a \\$a\"\\$a",
      "${path##*/} ${path#*/} ${path%.*} ${path%%.*} ${path/x/q}",
      "${path//\\//-} ${path/\\//} ${path//[/_} ${path//*/q} ${path//./$a}",
      "${stars#\\*} ${stars##*b} ${stars%'*'} ${stars%?} ${stars//\\*/s} ${stars/?b/}",
      "${none:?is needed}",
      "${a",
      "'x",
    ].map(expand),
    [
      "A-Ab",
      "dAe",
      "setset",
      "$aA $a$a",
      "z.tar.gz y/z.tar.gz x/y/z.tar x/y/z q/y/z.tar.gz",
      "x-y-z.tar.gz xy/z.tar.gz x/y/z.tar.gz q x/y/zAtarAgz",
      "a*b* * *a*b *a*b sasbs *a*",
      "none: is needed",
      'bad substitution: ${a is followed by "nothing"; known are :- :+ :? - + ? # % /',
      "missing ' at the end of a quoted word",
    ],
  );
});
