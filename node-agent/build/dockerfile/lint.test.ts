// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Dockerfiles look so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lintDockerfile } from "./lint.ts";
import { parseDockerfile } from "./parse.ts";

const lint = (text: string) => lintDockerfile(parseDockerfile(text)).map(({ rule, line }) => `${line} ${rule}`);

test("what is probably not meant is found with its line lintDockerfile", () => {
  const text = `ARG known=1
FROM --platform=linux/amd64 a:$known$TARGETARCH${"${unknown}${other:-x}"} as Build
run echo a \\

  && echo b
WORKDIR here
ENV OLD form
ENV API_KEY=x PUBLIC_KEY=y
ARG TOKEN
CMD one
CMD ["two"]
MAINTAINER me
EXPOSE 80/TCP
FROM --platform=$TARGETPLATFORM a AS scratch
WORKDIR /x
WORKDIR y
CMD one
SHELL ["/bin/x"]`;
  assert.deepEqual(lint(text), [
    "2 FromAsCasing",
    "2 StageNameCasing",
    "2 FromPlatformFlagConstDisallowed",
    "2 UndefinedArgInFrom",
    "3 ConsistentInstructionCasing",
    "3 NoEmptyContinuation",
    "6 WorkdirRelativePath",
    "7 LegacyKeyValueFormat",
    "8 SecretsUsedInArgOrEnv",
    "9 SecretsUsedInArgOrEnv",
    "10 JSONArgsRecommended",
    "10 MultipleInstructionsDisallowed",
    "12 MaintainerDeprecated",
    "13 ExposeProtoCasing",
    "14 ReservedStageName",
    "14 RedundantTargetPlatform",
  ]);
});

test("nothing is found where nothing is wrong, or where a check is skipped lintDockerfile", () => {
  const good =
    'FROM a AS b\nRUN <<EOF\n\n\nEOF\nRUN echo \\\n  # why\n  x\nENV A=b "C D"=e\nWORKDIR $HOME/x\nCMD ["x"]\nHEALTHCHECK CMD x';
  const wrong = "FROM a\nMAINTAINER me\nCMD x";
  const skipped = [`# check=skip=all\n${wrong}`, `# check=skip=maintainerdeprecated,Other;error=true\n${wrong}`];
  assert.deepEqual([good, wrong, ...skipped].map(lint), [
    [],
    ["2 MaintainerDeprecated", "3 JSONArgsRecommended"],
    [],
    ["4 JSONArgsRecommended"],
  ]);
});
