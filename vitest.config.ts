import { defineConfig } from 'vitest/config';

/** Layers of tests by what they need: `unit` needs nothing; `system` the engine and the server. */
export default defineConfig({
  test: {
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          include: [
            'test/{domain,agent,dataset,repository,client,teacher,workflows,activities,store}/**/*.test.ts',
            'test/contracts/**/*.fake.test.ts',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          sequence: { groupOrder: 1 },
          include: [
            'test/contracts/**/*.docker.test.ts',
            'test/{sandbox,server,integration}/**/*.test.ts',
          ],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          maxWorkers: 2,
        },
      },
    ],
  },
});
