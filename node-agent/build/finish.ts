// A stage becomes an image: its config, its history, its names.
import type { Image } from "../images/images.ts";
import { makeConfig } from "../images/new-config.ts";
import { formatReference, parseReference } from "../images/reference.ts";
import type { Workshop } from "../images/workshop.ts";
import type { BuildOptions } from "./build.ts";
import type { StageResult } from "./step-work.ts";

export async function finishImage(workshop: Workshop, stage: StageResult, options: BuildOptions): Promise<Image> {
  const { state, base, history, createdMs, platform } = stage;
  const { labels = {}, annotations } = options;
  const configBytes = makeConfig({
    base,
    config: { ...state.config, labels: { ...state.config.labels, ...labels } },
    history,
    created: new Date(createdMs).toISOString(),
    author: state.author,
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
