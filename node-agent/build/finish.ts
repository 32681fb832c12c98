// A stage becomes an image: its config, its history, its names.
import type { Image } from "../images/images.ts";
import { makeConfig } from "../images/new-config.ts";
import { formatReference, parseReference } from "../images/reference.ts";
import type { Workshop } from "../images/workshop.ts";
import type { BuildOptions } from "./build.ts";
import { digest, type StageResult } from "./step-work.ts";

export async function finishImage(workshop: Workshop, stage: StageResult, options: BuildOptions): Promise<Image> {
  const { state, base, history, platform } = stage;
  const { labels = {}, annotations } = options;
  const config = { ...state.config, labels: { ...state.config.labels, ...labels } };
  const createdMs = stage.createdMs ?? dateWithoutFiles(workshop, { stage, config, options });
  // What comes before the first step that works on files is as old as that step.
  const firstMs = history.find((line) => line.createdMs !== undefined)?.createdMs ?? createdMs;
  const configBytes = makeConfig({
    ...{ base, config, author: state.author },
    history: history.map((line) => ({ ...line, created: iso(line.createdMs ?? firstMs) })),
    created: iso(createdMs),
    ...(base === undefined ? { platform } : {}),
  });
  return await workshop.commit({
    configBytes,
    manifestBytes: undefined,
    tags: (options.tags ?? []).map((tag) => formatReference(parseReference(tag))),
    digests: [],
    ...(annotations === undefined ? {} : { annotations }),
  });
}

// No step was remembered that could say when: the whole is, so that the same build makes the same image again.
function dateWithoutFiles(
  workshop: Workshop,
  made: { readonly stage: StageResult; readonly config: object; readonly options: BuildOptions },
): number {
  const { stage, config, options } = made;
  const { base, diffIds, history, state, platform } = stage;
  const key = digest([
    "image",
    ...[config, base ?? null, diffIds, history, state.author ?? "", platform].map((each) => JSON.stringify(each)),
  ]);
  const known = options.noCache === true ? undefined : workshop.find(key);
  const createdMs = known?.createdMs ?? workshop.nowMs();
  workshop.remember({ [key]: { createdMs } });
  return createdMs;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
