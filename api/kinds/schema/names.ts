// What names, labels and annotations may look like. Each answers the complaints; an empty list is a valid name.
// Source: Kubernetes documentation, "Object Names and IDs", "Labels and Selectors".

const labelCharsMax = 63;
const subdomainCharsMax = 253;

/** RFC 1123 label: "web-1". */
export function dns1123Label(text: string): readonly string[] {
  return [
    ...length(text, labelCharsMax),
    ...shape(
      /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(text),
      "must be a lowercase RFC 1123 label: letters a-z, digits and '-', first and last a letter or digit, such as \"my-name\"",
    ),
  ];
}

/** RFC 1035 label (starts with a letter): Services, port names. */
export function dns1035Label(text: string): readonly string[] {
  return [
    ...length(text, labelCharsMax),
    ...shape(
      /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/.test(text),
      "must be an RFC 1035 label: letters a-z, digits and '-', first a letter, last a letter or digit, such as \"my-name\"",
    ),
  ];
}

/** RFC 1123 subdomain: "web-1.example". */
export function dns1123Subdomain(text: string): readonly string[] {
  return [
    ...length(text, subdomainCharsMax),
    ...shape(
      /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(text),
      "must be a lowercase RFC 1123 subdomain: letters a-z, digits, '-' and '.', each part first and last a letter or digit, such as \"example.com\"",
    ),
  ];
}

/** Keys of labels, annotations, taints: "example.com/name". */
export function qualifiedName(text: string): readonly string[] {
  const slash = text.indexOf("/");
  const name = slash < 0 ? text : text.slice(slash + 1);
  const prefix = slash < 0 ? [] : dns1123Subdomain(text.slice(0, slash)).map((complaint) => `prefix part ${complaint}`);
  return [
    ...prefix,
    ...length(name, labelCharsMax, "name part "),
    ...shape(
      /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/.test(name),
      "name part must be letters, digits, '-', '_' and '.', first and last a letter or digit, such as \"example.com/my.name\"",
    ),
  ];
}

export function labelValue(text: string): readonly string[] {
  return [
    ...length(text, labelCharsMax),
    ...shape(
      /^(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/.test(text),
      "must be empty or letters, digits, '-', '_' and '.', first and last a letter or digit, such as \"my_value\"",
    ),
  ];
}

/** Keys of ConfigMaps and Secrets: they become file names. */
export function configKey(text: string): readonly string[] {
  return [
    ...length(text, subdomainCharsMax),
    ...shape(/^[-._a-zA-Z0-9]+$/.test(text), "must be letters, digits, '-', '_' and '.'"),
    ...shape(text !== "." && !text.startsWith(".."), "must not be '.' or start with '..'"),
  ];
}

/** Names of ports: an IANA service name. */
export function portName(text: string): readonly string[] {
  return [
    ...length(text, 15),
    ...shape(
      /^[a-z0-9](?:-?[a-z0-9])*$/.test(text) && /[a-z]/.test(text),
      "must be lower-case letters, digits and single '-', with at least one letter",
    ),
  ];
}

/** Names of environment variables: anything printable but '='. */
export function envName(text: string): readonly string[] {
  return shape(/^[\x20-\x3c\x3e-\x7e]+$/.test(text), "must be printable ASCII characters other than '='");
}

function length(text: string, charsMax: number, part = ""): readonly string[] {
  return shape(text.length <= charsMax, `${part}must be no more than ${charsMax} characters`);
}

function shape(fits: boolean, complaint: string): readonly string[] {
  return fits ? [] : [complaint];
}
