// Remembers which elements are in the kernel and for which service or pod, and tells what a new state changes. Cost grows with the change.
import type { ClusterIndex, IndexedService } from "./cluster-index.ts";
import type { PodPorts, PodPortsIndex } from "./host-ports.ts";
import { type Here, planService, type RuleElement } from "./service-rules.ts";

export interface RuleChange {
  /** As they were. */
  readonly remove: readonly RuleElement[];
  /** New ones, and changed ones as they shall be (those are among `remove` too). */
  readonly add: readonly RuleElement[];
}

interface Held {
  readonly element: RuleElement;
  /** The service or pod that has it, and those that want it too: of two services with one address the first is served. */
  readonly owners: readonly string[];
}

interface Plan {
  readonly from: IndexedService | PodPorts;
  readonly elements: readonly RuleElement[];
}

export class RuleBook {
  #here: Here;
  #moved = false;
  readonly #held = new Map<string, Held>();
  readonly #plans = new Map<string, Plan>();

  constructor(nodeName: string) {
    this.#here = { nodeName, zone: "" };
  }

  /** The next update plans everything anew when it is another one. */
  setZone(zone: string): void {
    if (zone === this.#here.zone) return;
    this.#here = { ...this.#here, zone };
    this.#moved = true;
  }

  get elementCount(): number {
    return this.#held.size;
  }

  /** All elements that shall be there. */
  elements(): readonly RuleElement[] {
    return [...this.#held.values()].map(({ element }) => element);
  }

  /** Takes over the new state and returns what it changes. */
  update(index: ClusterIndex, podPorts: PodPortsIndex): RuleChange {
    const touched = new Map<string, RuleElement | undefined>();
    const contested = new Set<string>();
    for (const [key, plan] of this.#plans) {
      if (this.#moved || (index.get(key) ?? podPorts.get(key)) !== plan.from)
        this.#drop(key, plan.elements, touched, contested);
    }
    this.#moved = false;
    const plan = (from: Plan["from"], elements: readonly RuleElement[]) => {
      this.#plans.set(from.key, { from, elements });
      this.#hold(from.key, elements, touched);
    };
    for (const entry of index.values()) {
      if (!this.#plans.has(entry.key)) plan(entry, planService(entry.service, entry.slices, this.#here));
    }
    for (const entry of podPorts.values()) if (!this.#plans.has(entry.key)) plan(entry, entry.elements);
    // What a service gave up may be wanted by others, who lost it to that service before.
    for (const key of contested) this.#hold(key, this.#plans.get(key)?.elements ?? [], touched);
    return this.#difference(touched);
  }

  #drop(
    key: string,
    elements: readonly RuleElement[],
    touched: Map<string, RuleElement | undefined>,
    contested: Set<string>,
  ): void {
    this.#plans.delete(key);
    for (const element of elements) {
      const name = nameOf(element);
      const held = this.#held.get(name);
      if (held === undefined) continue;
      const owners = held.owners.filter((owner) => owner !== key);
      if (held.owners[0] !== key) {
        this.#held.set(name, { ...held, owners });
        continue;
      }
      if (!touched.has(name)) touched.set(name, held.element);
      this.#held.delete(name);
      for (const owner of owners) contested.add(owner);
    }
  }

  #hold(key: string, elements: readonly RuleElement[], touched: Map<string, RuleElement | undefined>): void {
    for (const element of elements) {
      const name = nameOf(element);
      const held = this.#held.get(name);
      if (held === undefined) {
        if (!touched.has(name)) touched.set(name, undefined);
        this.#held.set(name, { element, owners: [key] });
      } else if (!held.owners.includes(key)) {
        this.#held.set(name, { ...held, owners: [...held.owners, key] });
      }
    }
  }

  #difference(touched: ReadonlyMap<string, RuleElement | undefined>): RuleChange {
    const remove: RuleElement[] = [];
    const add: RuleElement[] = [];
    for (const [name, before] of touched) {
      const after = this.#held.get(name)?.element;
      if (before?.value === after?.value) continue;
      if (before !== undefined) remove.push(before);
      if (after !== undefined) add.push(after);
    }
    return { remove, add };
  }
}

function nameOf({ map, family, key }: RuleElement): string {
  return `${map} ${family} ${key}`;
}
