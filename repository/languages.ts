/** One entry per language: which files, which grammar, and what each node of a tree means for names. */

/** What a node means on the way to functions; nodes without a role are passed by, or through (`descend`). */
export type Role =
  /** May hold functions and names nothing. */
  | { role: 'through' }
  /** As `through`, and what is in it stands where it stands itself: a file, a part with syntax errors. */
  | { role: 'level' }
  /** May hold functions, and what the value is bound to goes on: parentheses, casts. */
  | { role: 'transparent' }
  /** Cannot hold functions that count. */
  | { role: 'stop' }
  /** Has its own name, in the field `name`. */
  | { role: 'function'; line: 'node' | 'name'; kind?: 'method' }
  /** Named by what it is bound to; listed only then. */
  | { role: 'value-function' }
  /** Names what is inside, by the field `name` or else by what it is bound to. */
  | { role: 'class'; isNamespace?: true }
  /** Names what is inside, by what it is bound to. */
  | { role: 'object' }
  /** A name in one field, its value in another; a fixed name where the field is none. */
  | {
      role: 'binding';
      name: { field: string } | { fixed: string };
      value: string;
      kind?: 'method';
    };

export interface Language {
  name: 'python' | 'javascript' | 'typescript' | 'tsx' | 'go';
  /** Endings of its files, longest first where one ends another. */
  extensions: string[];
  /** File in repository/grammars. */
  grammar: string;
  roles: Record<string, Role>;
  /** Are nodes without a role looked into? */
  descend: boolean;
  /** Does the outermost level begin at the first column? */
  indented?: true;
  /** Field of a function that names the type it belongs to. */
  receiver?: string;
  /** File names of tests, beside the folders that are tests everywhere. */
  testFile: RegExp;
  generatedFile: RegExp;
}

const through: Role = { role: 'through' };
const level: Role = { role: 'level' };
const stop: Role = { role: 'stop' };

const PYTHON: Language = {
  name: 'python',
  extensions: ['.py'],
  grammar: 'tree-sitter-python.wasm',
  roles: {
    function_definition: { role: 'function', line: 'node' },
    class_definition: { role: 'class' },
    module: level,
    ERROR: level,
    ...Object.fromEntries(
      [
        'block',
        'decorated_definition',
        'if_statement',
        'elif_clause',
        'else_clause',
        'for_statement',
        'while_statement',
        'with_statement',
        'try_statement',
        'except_clause',
        'except_group_clause',
        'finally_clause',
        'match_statement',
        'case_clause',
      ].map((type) => [type, through]),
    ),
  },
  descend: false,
  indented: true,
  testFile: /^(?:test_.*|.*_tests?|tests?|conftest)\.py$/,
  generatedFile: /_pb2(?:_grpc)?\.py$|_generated\.py$|^_version\.py$/,
};

const ECMASCRIPT: Record<string, Role> = {
  function_declaration: { role: 'function', line: 'node' },
  generator_function_declaration: { role: 'function', line: 'node' },
  method_definition: { role: 'function', line: 'name', kind: 'method' },
  arrow_function: { role: 'value-function' },
  function_expression: { role: 'value-function' },
  generator_function: { role: 'value-function' },
  class_declaration: { role: 'class' },
  class: { role: 'class' },
  object: { role: 'object' },
  variable_declarator: { role: 'binding', name: { field: 'name' }, value: 'value' },
  assignment_expression: { role: 'binding', name: { field: 'left' }, value: 'right' },
  pair: { role: 'binding', name: { field: 'key' }, value: 'value', kind: 'method' },
  field_definition: {
    role: 'binding',
    name: { field: 'property' },
    value: 'value',
    kind: 'method',
  },
  export_statement: { role: 'binding', name: { fixed: 'default' }, value: 'value' },
  parenthesized_expression: { role: 'transparent' },
  ...Object.fromEntries(
    [
      'import_statement',
      'identifier',
      'property_identifier',
      'private_property_identifier',
      'shorthand_property_identifier',
      'string',
      'number',
      'regex',
      'comment',
      'this',
      'super',
      'true',
      'false',
      'null',
      'undefined',
    ].map((type) => [type, stop]),
  ),
};

const TYPESCRIPT: Record<string, Role> = {
  ...ECMASCRIPT,
  abstract_class_declaration: { role: 'class' },
  internal_module: { role: 'class', isNamespace: true },
  module: { role: 'class', isNamespace: true },
  public_field_definition: {
    role: 'binding',
    name: { field: 'name' },
    value: 'value',
    kind: 'method',
  },
  as_expression: { role: 'transparent' },
  satisfies_expression: { role: 'transparent' },
  non_null_expression: { role: 'transparent' },
  ...Object.fromEntries(
    [
      'type_annotation',
      'type_arguments',
      'type_parameters',
      'type_alias_declaration',
      'interface_declaration',
      'function_signature',
      'method_signature',
      'abstract_method_signature',
      'type_identifier',
      'predefined_type',
    ].map((type) => [type, stop]),
  ),
};

const ECMASCRIPT_TEST_FILE =
  /[._-](?:test|tests|spec|e2e|bench|stories)\.[cm]?[jt]sx?$|^(?:jest|vitest)\./;
const ECMASCRIPT_GENERATED_FILE =
  /\.min\.[cm]?js$|\.bundle\.js$|[._-]generated\.[cm]?[jt]sx?$|_pb\.[jt]s$/;

const JAVASCRIPT: Language = {
  name: 'javascript',
  extensions: ['.js', '.mjs', '.cjs', '.jsx'],
  grammar: 'tree-sitter-javascript.wasm',
  roles: ECMASCRIPT,
  descend: true,
  testFile: ECMASCRIPT_TEST_FILE,
  generatedFile: ECMASCRIPT_GENERATED_FILE,
};

const GO: Language = {
  name: 'go',
  extensions: ['.go'],
  grammar: 'tree-sitter-go.wasm',
  roles: {
    source_file: level,
    ERROR: level,
    function_declaration: { role: 'function', line: 'node' },
    method_declaration: { role: 'function', line: 'node', kind: 'method' },
  },
  descend: false,
  receiver: 'receiver',
  testFile: /_test\.go$/,
  generatedFile: /\.pb(?:\.gw)?\.go$|^zz_generated|_gen(?:erated)?\.go$|_string\.go$/,
};

export const LANGUAGES: readonly Language[] = [
  PYTHON,
  JAVASCRIPT,
  {
    ...JAVASCRIPT,
    name: 'typescript',
    extensions: ['.ts', '.mts', '.cts'],
    grammar: 'tree-sitter-typescript.wasm',
    roles: TYPESCRIPT,
  },
  {
    ...JAVASCRIPT,
    name: 'tsx',
    extensions: ['.tsx'],
    grammar: 'tree-sitter-tsx.wasm',
    roles: TYPESCRIPT,
  },
  GO,
];

/** The language of a file by the ending of its name, or undefined for any other file. */
export function languageOf(path: string): Language | undefined {
  return LANGUAGES.find(({ extensions }) => extensions.some((ending) => path.endsWith(ending)));
}
