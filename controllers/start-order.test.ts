import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../api/kinds/generated/types.ts";
import { type Dependency, startAfterAnnotation } from "../api/kinds/start-order.ts";
import { planStartOrder } from "./start-order.ts";

const app = (condition: Dependency["condition"]): Dependency => ({ matchLabels: { app: "db" }, condition });

function waiter(annotation: unknown): Pod {
  const text = typeof annotation === "string" ? annotation : JSON.stringify(annotation);
  return { metadata: { name: "web", annotations: { [startAfterAnnotation]: text } } };
}

function db(phase: string, ready: "True" | "False" = "False"): Pod {
  return {
    metadata: { name: "db", labels: { app: "db", more: "x" } },
    status: { phase, conditions: [{ type: "Ready", status: ready }] },
  };
}

function ofJob(name: string, pod: Pod): Pod {
  const owner = { apiVersion: "batch/v1", kind: "Job", name, uid: name, controller: true };
  return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } };
}

const jobIsComplete = ({ name }: { readonly name: string }) => name === "whole";

test("planStartOrder opens once one pod of each dependency has come so far", () => {
  const cases = [
    [app("started"), [], "wait"],
    [app("started"), [db("Pending")], "wait"],
    [app("started"), [db("Running")], "open"],
    [app("started"), [db("Succeeded")], "open"],
    [app("healthy"), [db("Running")], "wait"],
    [app("healthy"), [db("Running"), db("Running", "True")], "open"],
    [app("completed"), [db("Running", "True")], "wait"],
    [app("completed"), [db("Failed")], "wait"],
    [app("completed"), [db("Succeeded")], "open"],
    [app("completed"), [ofJob("half", db("Succeeded"))], "wait"],
    [app("completed"), [ofJob("whole", db("Succeeded"))], "open"],
    [{ ...app("started"), matchLabels: { app: "other" } }, [db("Running")], "wait"],
  ] as const;
  assert.deepEqual(
    cases.map(([dependency, others]) => planStartOrder(waiter([dependency]), others, jobIsComplete).type),
    cases.map(([, , type]) => type),
  );
});

test("planStartOrder says for what a pod waits, and what it cannot read", () => {
  assert.deepEqual(
    [
      planStartOrder(waiter([app("healthy"), app("completed")]), [], jobIsComplete),
      planStartOrder(waiter("nonsense"), [], jobIsComplete),
      planStartOrder(waiter([{}]), [], jobIsComplete),
    ],
    [
      { type: "wait", message: "waits for a pod with app=db to be ready, a pod with app=db to be completed" },
      {
        type: "refuse",
        message: `annotation naru.dev/start-after is no JSON: Unexpected token 'o', "nonsense" is not valid JSON`,
      },
      {
        type: "refuse",
        message:
          'annotation naru.dev/start-after takes [{"matchLabels": {…}, "condition": "started" | "healthy" | "completed"}]',
      },
    ],
  );
});
