import { canInstall, installPackages } from './apt.mjs';
import { findProgram } from './command.mjs';
import { ensureS3Server } from './s3-server.mjs';
import { SetupError } from './setup-error.mjs';

/** Programs that only tests run, under any of their names, and the Debian packages that bring them. */
const TOOLS = [
  { names: ['gcc'], packages: ['gcc', 'libc6-dev'] },
  { names: ['qemu-aarch64-static', 'qemu-aarch64'], packages: ['qemu-user-static'] },
  { names: ['ip'], packages: ['iproute2'] },
  { names: ['mkfs.ext4'], packages: ['e2fsprogs'] },
  { names: ['faketime'], packages: ['faketime'] },
];

/**
 * The compiler of guestd's build with sanitizers, what runs an arm64 binary here, what engines of their own are made with, and
 * clocks that are wrong, as root on Debian or Ubuntu installed; and an S3 server.
 * @param {(message: string) => void} log
 * @returns {Promise<string>}
 */
export async function ensureTestTools(log) {
  const missing = TOOLS.filter(({ names }) => !names.some(findProgram));
  const packages = missing.flatMap((tool) => tool.packages);
  if (missing.length > 0 && !canInstall()) {
    throw new SetupError(
      `Tests need what is not here. On Debian or Ubuntu: apt-get install ${packages.join(' ')}`,
    );
  }
  if (missing.length > 0) await installPackages(packages, log);
  const s3Server = await ensureS3Server(log);
  return [...TOOLS.map(({ names }) => names[0]), s3Server].join(', ');
}
