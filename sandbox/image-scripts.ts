/** What runs inside a container, as root, to turn a base image and a tree into a prepared image. */

import { AGENT_UID, REPOSITORY_PATH } from '../domain/ids.ts';

/** Author and date of the one commit: the same tree gives the same commit everywhere. */
const COMMIT_IDENTITY = `export GIT_AUTHOR_NAME=twinpatch GIT_AUTHOR_EMAIL=twinpatch@localhost GIT_AUTHOR_DATE='946684800 +0000'
export GIT_COMMITTER_NAME=twinpatch GIT_COMMITTER_EMAIL=twinpatch@localhost GIT_COMMITTER_DATE='946684800 +0000'`;

/** Folders of results that earlier runs left: they can hold the answer. */
const CACHES = ['__pycache__', '.pytest_cache', '.mypy_cache', '.ruff_cache', '.hypothesis'];

/** Prints `missing` and the names of what a sandbox needs and the image lacks, or `complete`. For any POSIX shell. */
export const FIND_TOOLS = `
missing=
for tool in bash git; do command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"; done
setpriv --reuid ${AGENT_UID} --regid ${AGENT_UID} --clear-groups --no-new-privs -- true 2>/dev/null || missing="$missing setpriv"
stat -f -c '%a %S %d' / >/dev/null 2>&1 && mv --version >/dev/null 2>&1 || missing="$missing coreutils"
find / -maxdepth 0 -printf x >/dev/null 2>&1 || missing="$missing find"
if [ -n "$missing" ]; then echo "missing$missing"; else echo complete; fi
`;

/** Installs all of it by the image's own package manager; ends with 3 when it has none that is known. For any POSIX shell. */
export const INSTALL_TOOLS = `
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null 2>&1; then
  apt-get -o APT::Sandbox::User=root update && apt-get -o APT::Sandbox::User=root install -y --no-install-recommends bash git util-linux coreutils findutils && rm -rf /var/lib/apt/lists/*
elif command -v apk >/dev/null 2>&1; then
  apk add --no-cache bash git setpriv coreutils findutils
elif command -v dnf >/dev/null 2>&1; then
  dnf install -y bash git-core util-linux coreutils findutils && dnf clean all
elif command -v microdnf >/dev/null 2>&1; then
  microdnf install -y bash git-core util-linux coreutils findutils && microdnf clean all
else
  exit 3
fi
`;

/** The agent's user and home, an empty folder for the repository. A user that has the uid already keeps its name. */
export const CREATE_AGENT = `
set -e
grep -q '^[^:]*:[^:]*:${AGENT_UID}:' /etc/group || echo 'agent:x:${AGENT_UID}:' >>/etc/group
grep -q '^[^:]*:[^:]*:${AGENT_UID}:' /etc/passwd || echo 'agent:x:${AGENT_UID}:${AGENT_UID}::/home/agent:/bin/bash' >>/etc/passwd
mkdir -p /home/agent /tmp
chmod 1777 /tmp
chown ${AGENT_UID}:${AGENT_UID} /home/agent
rm -rf ${REPOSITORY_PATH}
mkdir -m 755 ${REPOSITORY_PATH}
`;

/** After the tree is there and before the set-up: remembers which files are the snapshot's, in root's own folder. */
export const RECEIVE_TREE = `
set -e
cd ${REPOSITORY_PATH}
find . -name .git -prune -exec rm -rf {} +
find . -mindepth 1 ! -type d -printf '%P\\0' >/root/.twinpatch-snapshot
chmod 600 /root/.twinpatch-snapshot
chown -hR ${AGENT_UID}:${AGENT_UID} .
`;

/**
 * After the set-up: no nested repository, no cache, one time for all; then a repository whose only commit holds the snapshot
 * and what the set-up added and the ignore rules let through. Contents are stored as they are: no attribute converts them.
 */
export const FINISH_TREE = `
set -e
# What the set-up left running must not change the tree that is committed.
kill -9 -1 2>/dev/null || :
cd ${REPOSITORY_PATH}
find . -name .git -prune -exec rm -rf {} +
find . -type d \\( ${CACHES.map((name) => `-name ${name}`).join(' -o ')} \\) -prune -exec rm -rf {} +
chown -hR ${AGENT_UID}:${AGENT_UID} . /home/agent
find . -exec touch -h -d @946684800 {} +
git config --system --replace-all safe.directory ${REPOSITORY_PATH}
mv /root/.twinpatch-snapshot /tmp/.twinpatch-snapshot
chmod 644 /tmp/.twinpatch-snapshot
cat >/tmp/.twinpatch-commit <<'SCRIPT'
set -e
umask 022
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C
${COMMIT_IDENTITY}
cd ${REPOSITORY_PATH}
git init -q --template=
git symbolic-ref HEAD refs/heads/main
mkdir -p .git/info .git/hooks
echo '* -text -ident -filter -working-tree-encoding !diff !merge !eol' >.git/info/attributes
: >.git/info/exclude
git config user.name agent
git config user.email agent@localhost
git config gc.auto 0
git config maintenance.auto false
git config core.trustctime false
git config core.checkStat minimal
git -c core.logAllRefUpdates=false -c core.excludesFile=/dev/null update-index --add --remove -z --stdin </tmp/.twinpatch-snapshot
git -c core.excludesFile=/dev/null add -A
commit=$(git commit-tree -m Snapshot "$(git write-tree)")
git -c core.logAllRefUpdates=false update-ref refs/heads/main "$commit"
rm -rf .git/logs .git/FETCH_HEAD .git/ORIG_HEAD .git/COMMIT_EDITMSG
git repack -q -a -d
git prune --expire=now
git status --porcelain >/dev/null
SCRIPT
setpriv --reuid ${AGENT_UID} --regid ${AGENT_UID} --clear-groups --no-new-privs -- bash /tmp/.twinpatch-commit
rm -f /tmp/.twinpatch-commit /tmp/.twinpatch-snapshot
touch -d @946684800 .
`;

/**
 * Prints where the set-up left a copy of the repository's own package: programs may load that one and not what the agent
 * changes, and a newer one would hold answers. Known are Python's distributions that are not editable, and npm's.
 */
export const FIND_COPIES = `
cd ${REPOSITORY_PATH} || exit 0
normal() { tr A-Z a-z | sed 's/[_.]/-/g'; }
names=$({
  sed -n 's/^name *= *["'"'"']\\([A-Za-z0-9._-]*\\).*/\\1/p' pyproject.toml
  sed -n 's/^name *= *\\([A-Za-z0-9._-]*\\) *$/\\1/p' setup.cfg
  sed -n 's/^.*[( ]name *= *["'"'"']\\([A-Za-z0-9._-]*\\).*/\\1/p' setup.py
} 2>/dev/null | head -n 5 | normal)
find / -xdev -path ${REPOSITORY_PATH} -prune -o -type d -name '*.dist-info' -print 2>/dev/null | while IFS= read -r info; do
  found=\${info##*/}
  found=$(printf %s "\${found%%-*}" | normal)
  for name in $names; do
    [ "$found" != "$name" ] || grep -qs '"editable": *true' "$info/direct_url.json" || printf 'copy %s\\n' "$info"
  done
done
name=$(sed -n 's/^ *"name": *"\\([a-z0-9@/._-]*\\)".*/\\1/p' package.json 2>/dev/null | head -n 1)
if [ -n "$name" ] && [ -d "node_modules/$name" ] && [ ! -L "node_modules/$name" ]; then
  printf 'copy ${REPOSITORY_PATH}/node_modules/%s\\n' "$name"
fi
`;
