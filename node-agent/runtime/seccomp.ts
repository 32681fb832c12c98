// Compiles a seccomp profile (Docker's JSON format) into a filter: per architecture a binary search over ranges of system calls
// with the same answer. Pure.
import { assemble, type Block, condition, conditional, type Instruction, load, ret } from "./seccomp-bpf.ts";
import { type Abi, architectureOf, type SeccompMachine } from "./seccomp-machines.ts";
import { type Profile, parseProfile, type Rule } from "./seccomp-profile.ts";

export interface SeccompContext {
  readonly capabilities: readonly string[];
  /** Major and minor, for rules with `minKernel`. */
  readonly kernel: readonly [number, number];
  /** Somebody listens for the calls that the profile says so of. */
  readonly listener?: boolean;
}

/** Arm keeps calls of its own beyond all others. */
const privateFrom = 0xf0000;
const enosys = 38;
const killProcess = 0x8000_0000;
const errnoAction = 0x0005_0000;

/** An array of struct sock_filter, for programs of `machine`. Throws on a profile it does not understand. */
export function compileSeccomp(profile: unknown, context: SeccompContext, machine: SeccompMachine): Buffer {
  const parsed = parseProfile(profile, context);
  const { architecture, abis } = architectureOf(machine);
  // Programs of others than those are ended, but the machine's own are always in it.
  const wanted = abis.filter(({ oci }, i) => i === 0 || (parsed.architectures?.includes(oci) ?? true));
  let program: Block = [ret(killProcess)];
  for (const abi of wanted.toReversed()) {
    const found = search(answers(parsed, abi, { ...context, arch: architecture }));
    const { foreignFrom } = abi;
    // x32 shares the architecture's number: without this its calls would be looked up as others.
    const block =
      foreignFrom === undefined ? found : conditional("ge", foreignFrom, [ret(errnoAction | enosys)], found);
    program = conditional("eq", abi.audit, [load(0), ...block], program);
  }
  return assemble([load(4), ...program]);
}

interface Range {
  readonly from: number;
  readonly answer: Block;
}

/** What each range of numbers gets, by rising `from`. */
function answers(
  profile: Profile,
  { numbers }: Abi,
  context: SeccompContext & { readonly arch: string },
): readonly Range[] {
  const rules = new Map<number, Rule[]>();
  for (const rule of profile.rules) {
    if (!applies(rule, context)) continue;
    for (const name of rule.names) {
      const number = numbers[name];
      if (number === undefined) continue;
      const of = rules.get(number);
      if (of === undefined) rules.set(number, [rule]);
      else of.push(rule);
    }
  }
  const last = Math.max(...Object.values(numbers).filter((number) => number < privateFrom));
  const ranges: (Range & { readonly key: string })[] = [];
  for (const number of edges(Object.values(numbers), last)) {
    // What is newer than our table is answered as by an older kernel, so that programs fall back to what they know.
    const unknown = number > last && !rules.has(number);
    const answer = unknown ? [ret(errnoAction | enosys)] : answerOf(rules.get(number) ?? [], profile.defaultAction);
    const key = JSON.stringify(answer);
    if (ranges.at(-1)?.key !== key) ranges.push({ from: number, answer, key });
  }
  return ranges;
}

/** The numbers at which the answer may be another one than before. */
function edges(numbers: readonly number[], last: number): readonly number[] {
  const ends = numbers.flatMap((number) => [number, number + 1]);
  return [...new Set([0, ...ends, last + 1])].toSorted((a, b) => a - b);
}

/** The first rule that matches; an unconditional one ends the list. */
function answerOf(rules: readonly Rule[], defaultAction: number): Block {
  const open = rules.findIndex((rule) => rule.conditions.length === 0);
  const conditioned = open === -1 ? rules : rules.slice(0, open);
  const end = open === -1 ? defaultAction : (rules[open]?.action ?? defaultAction);
  // Rules that would answer as the end does anyway need no look.
  const useful = conditioned.slice(0, conditioned.findLastIndex((rule) => rule.action !== end) + 1);
  const block: Instruction[] = [];
  for (const rule of useful) {
    // Several conditions on one argument are alternatives, as in runc; on different arguments all must hold.
    const indexes = rule.conditions.map(({ index }) => index);
    const alternatives =
      new Set(indexes).size === indexes.length ? [rule.conditions] : rule.conditions.map((single) => [single]);
    for (const all of alternatives) {
      let inner: Block = [ret(rule.action)];
      for (const single of all.toReversed()) inner = condition(single, inner);
      block.push(...inner);
    }
  }
  return [...block, ret(end)];
}

/** Whether a rule is one for such a container, kernel and machine. */
export function applies(rule: Rule, context: SeccompContext & { readonly arch: string }): boolean {
  const { includes, excludes } = rule;
  if (includes.arches.length > 0 && !includes.arches.includes(context.arch)) return false;
  if (!includes.caps.every((cap) => context.capabilities.includes(cap))) return false;
  if (includes.minKernel !== undefined && !reached(context.kernel, includes.minKernel)) return false;
  if (excludes.arches.includes(context.arch)) return false;
  if (excludes.minKernel !== undefined && reached(context.kernel, excludes.minKernel)) return false;
  return !excludes.caps.some((cap) => context.capabilities.includes(cap));
}

function reached(kernel: readonly [number, number], wanted: readonly [number, number]): boolean {
  return kernel[0] > wanted[0] || (kernel[0] === wanted[0] && kernel[1] >= wanted[1]);
}

function search(ranges: readonly Range[]): Block {
  const middle = ranges.length >> 1;
  const pivot = ranges[middle];
  if (pivot === undefined) return [];
  if (ranges.length === 1) return pivot.answer;
  return conditional("ge", pivot.from, search(ranges.slice(middle)), search(ranges.slice(0, middle)));
}
