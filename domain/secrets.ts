/**
 * Secrets in texts, by the shapes that their issuers gave them, and files that hold nothing else. Shapes alone: a rule by the
 * name of a variable would hide half of every test suite.
 */

/** A secret at `[start, end)` of a text. */
export interface Secret {
  rule: SecretRule;
  start: number;
  end: number;
}

export type SecretRule =
  | 'private-key'
  | 'aws-key'
  | 'github-token'
  | 'gitlab-token'
  | 'slack-token'
  | 'model-key'
  | 'google-key'
  | 'stripe-key'
  | 'package-token'
  | 'sendgrid-key'
  | 'url-password';

/** The secrets of a text, in their order, none within another. Linear in the text's length. */
export function findSecrets(text: string): Secret[] {
  if (!HINT.test(text)) return [];
  const found = RULES.flatMap(({ rule, pattern }) =>
    [...text.matchAll(pattern)].flatMap(({ indices }): Secret[] => {
      const [start, end] = indices?.groups?.['secret'] ?? [0, 0];
      const isNone = rule !== 'private-key' && PLACEHOLDER.test(text.slice(start, end));
      return isNone ? [] : [{ rule, start, end }];
    }),
  );
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  let covered = 0;
  return found.filter(({ start, end }) => {
    if (start < covered) return false;
    covered = end;
    return true;
  });
}

/** The text with an `x` for each character of a secret but its line ends; of the same length, so lines and columns stay. */
export function maskSecrets(text: string, secrets = findSecrets(text)): string {
  let masked = '';
  let from = 0;
  for (const { start, end } of secrets) {
    masked += text.slice(from, start) + text.slice(start, end).replaceAll(/[^\r\n]/g, 'x');
    from = end;
  }
  return masked + text.slice(from);
}

/** Whether a file holds keys or passwords and nothing else, by its path: `.env`, SSH keys, key stores, logins of tools. */
export function isKeyFile(path: string): boolean {
  const lower = path.toLowerCase();
  const name = lower.slice(lower.lastIndexOf('/') + 1);
  if (/^\.env(?:\.|$)/.test(name))
    return !/\.(?:example|sample|template|dist|defaults)$/.test(name);
  return KEY_FILE.test(name) || /(?:^|\/)\.aws\/credentials$/.test(lower);
}

// --- internal ---

/** Without one of these a text has no secret; most have none. */
const HINT =
  /PRIVATE KEY|A(?:KIA|SIA|Iza)|(?:aws|AWS)_(?:secret|SECRET)|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|hooks\.slack|sk-|[sr]k_live_|npm_|pypi-|hf_|SG\.|:\/\/[^\s/@]{1,200}@/;

const RULES: { rule: SecretRule; pattern: RegExp }[] = [
  {
    // In a text of JSON the line ends are `\n` of two characters.
    rule: 'private-key',
    pattern:
      /-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?<secret>(?:\s|\\[nr])+[A-Za-z0-9+/=:,\s\\-]{40,20000}?)(?=-----|["'`<]|$)/dg,
  },
  { rule: 'aws-key', pattern: /\b(?<secret>(?:AKIA|ASIA)[A-Z2-7]{16})\b/dg },
  {
    rule: 'aws-key',
    pattern: /aws_secret_access_key["']?\s{0,3}[:=]\s{0,3}["']?(?<secret>[A-Za-z0-9/+]{40})\b/dgi,
  },
  {
    rule: 'github-token',
    pattern: /\b(?<secret>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255})\b/dg,
  },
  { rule: 'gitlab-token', pattern: /\b(?<secret>glpat-[\w-]{20,100})/dg },
  {
    rule: 'slack-token',
    pattern:
      /(?<secret>\bxox[abeoprs]-[\w-]{20,250}|https:\/\/hooks\.slack\.com\/services\/\w{5,20}\/\w{5,20}\/\w{20,40})/dg,
  },
  {
    rule: 'model-key',
    pattern:
      /\b(?<secret>sk-(?:ant-|proj-|or-)?(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Z])[\w-]{32,250}|hf_[A-Za-z]{34})\b/dg,
  },
  { rule: 'google-key', pattern: /\b(?<secret>AIza[\w-]{35})(?![\w-])/dg },
  { rule: 'stripe-key', pattern: /\b(?<secret>[sr]k_live_[A-Za-z0-9]{20,250})\b/dg },
  {
    rule: 'package-token',
    pattern: /\b(?<secret>npm_[A-Za-z0-9]{36}|pypi-AgEIcHlwaS5vcmc[\w-]{50,250})\b/dg,
  },
  { rule: 'sendgrid-key', pattern: /\b(?<secret>SG\.[\w-]{22}\.[\w-]{43})(?![\w-])/dg },
  {
    rule: 'url-password',
    pattern:
      /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/"'<>{}]{1,100}:(?<secret>[^\s:@/"'<>{}$%*]{6,100})@(?!localhost|127\.|example\.|[\w.-]{0,60}\.example\b)[\w[]/dgi,
  },
];

const KEY_FILE =
  /^id_(?:rsa|dsa|ecdsa|ed25519)$|\.(?:p12|pfx|jks|keystore|kdbx|ppk)$|^\.(?:netrc|pgpass|git-credentials|pypirc|htpasswd)$/;

/** As documentation writes them, and what is masked already. */
const PLACEHOLDER = /example|placeholder|your|password|secret|xxxx|0000|1234567/i;
