/** The way through a syntax tree to its functions and their qualified names. */

import type { Node, Parser, TreeCursor } from 'web-tree-sitter';
import type { Language, Role } from './languages.ts';

export interface FoundFunction {
  /** Qualified, as in `TargetFunction`. */
  name: string;
  kind: 'function' | 'method';
  startLine: number;
  endLine: number;
  /** Inside another listed function. */
  nested: boolean;
}

/** Roles by node type id, with field ids instead of names: made once per grammar. */
export interface Roles {
  byType: (Role | undefined)[];
  descend: boolean;
  indented: boolean;
  receiver: number | undefined;
  fields: Map<string, number>;
}

/** The roles of a language for the parser of its grammar. */
export function toRoles(language: Language, parser: Parser): Roles {
  const grammar = parser.language;
  if (grammar === null) throw new Error(`the parser of ${language.name} has no language`);
  const fields = new Map<string, number>();
  grammar.fields.forEach((name, id) => name !== null && fields.set(name, id));
  const byType: (Role | undefined)[] = [];
  for (const [type, role] of Object.entries(language.roles)) {
    // One name can stand for several ids, where the grammar has an alias.
    for (let id = 0; id < grammar.nodeTypeCount; id++) {
      if (grammar.nodeTypeForId(id) === type && grammar.nodeTypeIsNamed(id)) byType[id] = role;
    }
    if (type === 'ERROR') byType[ERROR_TYPE] = role;
  }
  const receiver = language.receiver === undefined ? undefined : fields.get(language.receiver);
  return {
    byType,
    descend: language.descend,
    indented: language.indented === true,
    receiver,
    fields,
  };
}

/** Functions below the cursor in the order of the file. No recursion: the depth is the file's choice. */
export function walkFunctions(cursor: TreeCursor, text: string, roles: Roles): FoundFunction[] {
  const found: FoundFunction[] = [];
  const places: Place[] = [];
  let place: Place = {
    prefix: '',
    isMember: false,
    nested: false,
    isOutermost: true,
    bindingField: 0,
  };
  for (;;) {
    const role = roles.byType[cursor.nodeTypeId];
    const inside =
      role === undefined
        ? roles.descend
          ? unbound(place)
          : undefined
        : enter(role, cursor, place, text, roles, found);
    if (inside !== undefined && cursor.gotoFirstChild()) {
      places.push(place);
      place = inside;
      continue;
    }
    while (!cursor.gotoNextSibling()) {
      if (!cursor.gotoParent()) return found;
      place = places.pop() ?? place;
    }
  }
}

// --- internal ---

const ERROR_TYPE = 0xffff;

/** Where a node stands: what its name is qualified with, and what it is bound to. */
interface Place {
  prefix: string;
  isMember: boolean;
  nested: boolean;
  /** In no definition and no block of the file. */
  isOutermost?: boolean;
  /** The name that a value takes, and in which field the value is (0: in any). */
  binding?: Binding | undefined;
  bindingField: number;
}

interface Binding {
  name: string;
  line: number;
  kind: 'function' | 'method';
}

/** Lists what the node is, and returns the place of its children; undefined: nothing in there counts. */
function enter(
  role: Role,
  cursor: TreeCursor,
  place: Place,
  text: string,
  roles: Roles,
  found: FoundFunction[],
): Place | undefined {
  // Indented, and in nothing: a syntax error took the class or function that it belongs to.
  const isLost = roles.indented && place.isOutermost === true && role.role !== 'level';
  if (isLost && cursor.startPosition.column > 0) return undefined;
  switch (role.role) {
    case 'stop':
      return undefined;
    case 'level':
      return place;
    case 'through':
      return { ...unbound(place), isOutermost: false };
    case 'transparent':
      return { ...place, binding: bindingHere(cursor, place), bindingField: 0 };
    case 'binding':
      return { ...place, ...bind(role, cursor.currentNode, text, roles) };
    case 'object': {
      const binding = bindingHere(cursor, place);
      const prefix = binding === undefined ? place.prefix : `${place.prefix}${binding.name}.`;
      return { prefix, isMember: true, nested: place.nested, bindingField: 0 };
    }
    case 'class': {
      const own = nameOf(field(cursor.currentNode, 'name', roles), text);
      const name = own ?? bindingHere(cursor, place)?.name;
      const prefix = name === undefined ? place.prefix : `${place.prefix}${name}.`;
      return { prefix, isMember: role.isNamespace !== true, nested: place.nested, bindingField: 0 };
    }
    case 'function': {
      const node = cursor.currentNode;
      const nameNode = field(node, 'name', roles);
      const own = nameOf(nameNode, text);
      // `export default function () {}` has no name of its own.
      const name = own ?? bindingHere(cursor, place)?.name;
      if (name === undefined || nameNode?.isMissing === true) return outside(place);
      const type = roles.receiver && receiverType(node.childForFieldId(roles.receiver), text);
      const line = role.line === 'name' && nameNode ? nameNode.startPosition.row : undefined;
      const kind = role.kind ?? (place.isMember ? 'method' : 'function');
      const startLine = (line ?? node.startPosition.row) + 1;
      return list(
        node,
        { name: type ? `${type}.${name}` : name, kind, startLine },
        place,
        text,
        roles,
        found,
      );
    }
    case 'value-function': {
      const binding = bindingHere(cursor, place);
      if (binding === undefined) {
        const own = nameOf(field(cursor.currentNode, 'name', roles), text);
        if (own === undefined) return outside(place);
        const startLine = cursor.startPosition.row + 1;
        return list(
          cursor.currentNode,
          { name: own, kind: 'function', startLine },
          place,
          text,
          roles,
          found,
        );
      }
      const { name, kind, line } = binding;
      return list(cursor.currentNode, { name, kind, startLine: line }, place, text, roles, found);
    }
  }
}

/** Adds a function that has a body and no errors of its own; returns the place inside of it. */
function list(
  node: Node,
  { name, kind, startLine }: Pick<FoundFunction, 'name' | 'kind' | 'startLine'>,
  place: Place,
  text: string,
  roles: Roles,
  found: FoundFunction[],
): Place {
  const qualified = place.prefix + name;
  if (field(node, 'body', roles) !== null && !node.hasError) {
    const endLine = lastRow(node, text) + 1;
    found.push({ name: qualified, kind, startLine, endLine, nested: place.nested });
  }
  return { prefix: `${qualified}.`, isMember: false, nested: true, bindingField: 0 };
}

/** The last row of the code: where no brace ends a body, comments after its last statement are not code. */
function lastRow(node: Node, text: string): number {
  const lineStart = text.lastIndexOf('\n', node.endIndex - 1) + 1;
  if (!/^\s*#/.test(text.slice(lineStart, node.endIndex))) return node.endPosition.row;
  let last = node;
  for (let next: Node | null = node; next !== null;) {
    last = next;
    next = last.lastChild;
    while (next?.type === 'comment') next = next.previousSibling;
  }
  return last.endPosition.row;
}

/** What the value of a binding is called; nothing where the name is not simple. */
function bind(
  role: Extract<Role, { role: 'binding' }>,
  node: Node,
  text: string,
  roles: Roles,
): Pick<Place, 'binding' | 'bindingField'> {
  const value = field(node, role.value, roles);
  const valueRole = value === null ? undefined : roles.byType[value.typeId]?.role;
  if (value === null || !NAMED_BY_BINDING.has(valueRole))
    return { binding: undefined, bindingField: 0 };
  const nameNode = 'fixed' in role.name ? null : field(node, role.name.field, roles);
  const name = 'fixed' in role.name ? role.name.fixed : nameOf(nameNode, text);
  if (name === undefined) return { binding: undefined, bindingField: 0 };
  const line = (nameNode ?? value).startPosition.row + 1;
  const bindingField = roles.fields.get(role.value) ?? 0;
  return { binding: { name, line, kind: role.kind ?? 'function' }, bindingField };
}

const NAMED_BY_BINDING = new Set<Role['role'] | undefined>([
  'value-function',
  'object',
  'class',
  'function',
  'transparent',
]);

function bindingHere(cursor: TreeCursor, place: Place): Binding | undefined {
  if (place.binding === undefined || place.bindingField === 0) return place.binding;
  return cursor.currentFieldId === place.bindingField ? place.binding : undefined;
}

function unbound(place: Place): Place {
  return place.binding === undefined ? place : { ...place, binding: undefined, bindingField: 0 };
}

/** Inside an anonymous function: its names are nobody's members. */
function outside(place: Place): Place {
  return { ...place, isMember: false, binding: undefined, bindingField: 0 };
}

function field(node: Node, name: string, { fields }: Roles): Node | null {
  const id = fields.get(name);
  return id === undefined ? null : node.childForFieldId(id);
}

/** A name as it is written, without quotes and white space; undefined when it is no simple one. */
function nameOf(node: Node | null, text: string): string | undefined {
  if (node === null) return undefined;
  const { startIndex, endIndex } = node;
  const written = text.slice(startIndex, endIndex);
  const quoted = /^(['"])([^'"\\\n]+)\1$/.exec(written)?.[2];
  if (quoted !== undefined) return quoted;
  const name = written.replace(/\s+/g, '').replaceAll('?.', '.');
  return /^(?:[\p{ID_Continue}$#.\u200c\u200d]+|\[[\p{ID_Continue}$.]+\])$/u.test(name)
    ? name
    : undefined;
}

/** `(r *Tree[K, V])` → `Tree`. */
function receiverType(receiver: Node | null, text: string): string | undefined {
  if (receiver === null) return undefined;
  const written = text.slice(receiver.startIndex, receiver.endIndex).slice(0, 500);
  const withoutComments = written.replace(/\/\*.*?\*\/|\/\/[^\n]*/gs, ' ');
  return /([\p{L}_][\p{L}\p{Nd}_]*)\s*(?:\[.*\])?[\s),]*$/su.exec(withoutComments)?.[1];
}
