/** Attacks by images, by what prepares them, and by one rollout on the next. The numbers are those of docs/security.md. */

import { afterAll, describe, expect, it } from 'vitest';

import { createImages } from '../../sandbox/image.ts';
import { DEFAULT_IMAGE } from '../../domain/config.ts';
import { LIMITS, toTar } from '../support/sandbox-fixture.ts';
import { openSuite, say } from '../support/sandbox-suite.ts';

const CAPS = { maxBytes: 1e6, maxEntries: 10, maxDepth: 5, timeoutMs: 60_000 };

const suite = await openSuite('images');
const { engine, installation, sandboxes } = suite;
const images = createImages(engine, { installation });
const signal = new AbortController().signal;
let keys = 0;

const prepare = async (dockerfile: string, setup: string[] = []) => {
  const spec = {
    key: `${installation}-${keys++}`,
    base: { dockerfile },
    snapshot: async () => toTar({ 'a.txt': 'a\n' }),
    setup,
    limits: LIMITS,
    setupTimeoutMs: 30_000,
  };
  return (await images.prepare(spec, signal)).imageId;
};
const preparing = async () =>
  (await sandboxes.list()).filter(({ labels }) => labels.role === 'prepare');

afterAll(() => {
  delete process.env['CANARY_API_KEY'];
});

describe('an image', () => {
  it.each([
    [
      'declares',
      `RUN useradd -u 4321 other
ENV LD_PRELOAD=/nowhere.so BASH_ENV=/nowhere ENV=/nowhere HOSTNAME=x PATH=/nowhere:/usr/local/bin:/usr/bin:/bin:/usr/sbin POSIXLY_CORRECT=1 SHELLOPTS=posix:xtrace
LABEL dev.twinpatch.installation=another dev.twinpatch.role=guest dev.twinpatch.rollout=b/s/other
VOLUME ["/data", "/tmp", "/home/agent", "/run/twinpatch", "/.twinpatch"]
HEALTHCHECK --interval=1s CMD touch /tmp/checked
ONBUILD RUN touch /tmp/onbuild
ENTRYPOINT ["false"]
CMD ["false"]
STOPSIGNAL SIGUSR1
EXPOSE 80
WORKDIR /nowhere/deep
SHELL ["/bin/false"]
USER other`,
    ],
    [
      'has in the places that sandboxes use',
      `RUN mkdir -p /.twinpatch /run/twinpatch && cp /bin/true /.twinpatch/guestd && touch /run/twinpatch/guestd.sock
RUN useradd -m -u 1000 dev && mkdir /testbed && touch /testbed/of-the-image && chmod 700 /testbed
RUN rm -rf /tmp && mkdir -m 700 /home/agent`,
    ],
  ])('T62: works whatever it %s', async (_what, lines) => {
    const imageId = await prepare(`FROM ${DEFAULT_IMAGE}\n${lines}\n`);
    const sandbox = await suite.start({ imageId });
    try {
      expect(await say(sandbox, 'id -u; pwd; cat a.txt; ls -A; ls -A /tmp')).toBe(
        '1000\n/testbed\na\n.git\na.txt\n',
      );
      expect(await say(sandbox, 'echo b >>a.txt; /usr/bin/git diff --stat | tail -1')).toContain(
        '1 file changed',
      );
      const patch = await sandbox.extractPatch(CAPS);
      expect(patch).toMatchObject({ facts: [{ path: 'a.txt' }] });
      expect((await sandboxes.list()).map(({ id }) => id)).toContain(sandbox.ref.container);
    } finally {
      await sandbox.close();
    }
  });

  it.each([
    [
      'no shell at all',
      `FROM scratch\nCOPY --from=${DEFAULT_IMAGE} /etc/hostname /x\n`,
      /no \/bin\/sh.*name another one/,
    ],
    [
      'no bash and no way to install it',
      `FROM ${DEFAULT_IMAGE}\nRUN rm -f /bin/bash /usr/bin/bash /usr/bin/apt-get\n`,
      /lacks.*bash.*Add bash/s,
    ],
    [
      'a volume in the place of the repository',
      `FROM ${DEFAULT_IMAGE}\nVOLUME /testbed\n`,
      /VOLUME.*\/testbed/s,
    ],
    [
      'a volume below the repository',
      `FROM ${DEFAULT_IMAGE}\nVOLUME /testbed/build\n`,
      /VOLUME.*\/testbed\/build/s,
    ],
  ])('T62: is refused with what to do when it has %s', async (_what, dockerfile, reason) => {
    const work = prepare(dockerfile);
    await expect(work).rejects.toMatchObject({ name: 'ImageError', kind: 'build-failed' });
    await expect(work).rejects.toThrow(reason);
    expect(await preparing()).toEqual([]);
  });
});

describe('a set-up command', () => {
  it('T61: finds no key, no engine and no host, and what it leaves running ends', async () => {
    process.env['CANARY_API_KEY'] = 'canary-of-the-worker';
    const imageId = await prepare(`FROM ${DEFAULT_IMAGE}\n`, [
      '{ env; cat /proc/*/environ /proc/*/cmdline | tr "\\0" "\\n"; ls -a / /root /run /var/run; cut -d" " -f5 /proc/self/mountinfo; } >seen 2>&1; ls /var/run/docker.sock /.twinpatch >>seen 2>&1; true',
      '(setsid bash -c "while :; do echo alive >/testbed/alive-$RANDOM; sleep 0.05; done" >/dev/null 2>&1 &)',
      'for try in "mount -t tmpfs none /mnt" "mknod /x b 8 0" "sh -c \'echo b >/proc/sysrq-trigger\'" "unshare -m true" "date -s 2001-01-01"; do $try 2>/dev/null && echo "$try" >>got-through; done; true',
      'git init -q /testbed && git config --global core.hooksPath /evil; git config --system core.fsmonitor /evil; echo "* filter=evil" >/etc/gitattributes; true',
    ]);
    expect(await preparing()).toEqual([]);
    const sandbox = await suite.start({ imageId });
    const seen = await say(sandbox, 'cat seen');
    expect(seen).toContain('CI=1');
    expect(seen).not.toMatch(/canary|docker\.sock\n|guestd/);
    expect(
      await say(
        sandbox,
        'cat got-through 2>/dev/null; ls alive-* | head -n 1 | wc -l; ls -d /proc/[0-9]* | wc -l',
      ),
    ).toMatch(/^1\n[3-6]\n$/);
    const own = 'export GIT_CONFIG_NOSYSTEM=1; git status --porcelain; git rev-list --all --count';
    expect(await say(sandbox, `${own}; echo b >>a.txt`)).toBe('1\n');
    expect(await sandbox.extractPatch(CAPS)).toMatchObject({ facts: [{ path: 'a.txt' }] });
    await sandbox.close();
  });
});

describe('the next rollout', () => {
  it('T52: finds nothing of the one before', async () => {
    const places = '/testbed /tmp /home/agent /dev/shm /var/tmp /dev/mqueue';
    const first = await suite.start();
    await say(
      first,
      `for place in ${places}; do echo canary-of-rollout-1 >$place/canary; done; git commit -qam x; git stash -q; git gc -q; echo x | git hash-object -w --stdin`,
    );
    expect(await say(first, `ls ${places} | grep -c canary`)).toBe('6\n');
    await first.extractPatch(CAPS);
    await first.close();
    const second = await suite.start();
    expect(second.ref.container).not.toBe(first.ref.container);
    const { output } = await suite.asRoot(
      second,
      `grep -rl canary-of-rollout ${places} /run /var /etc /root 2>/dev/null; ls ${places} | grep canary`,
    );
    expect(output).toBe('');
    expect(await say(second, 'git rev-list --all --reflog --count; git count-objects')).toBe(
      '1\n0 objects, 0 kilobytes\n',
    );
    const changes = await engine.docker.getContainer(second.ref.container).inspect();
    expect(changes.Image).toBe(suite.imageId);
    expect(changes.Mounts.map(({ Destination, RW }) => [Destination, RW])).toEqual([
      ['/.twinpatch', false],
    ]);
    await second.close();
  });
});
