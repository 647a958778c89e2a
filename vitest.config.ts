import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Whole products take longest: what begins last should be short, or all the other workers wait for it. */
class WholeProductsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isWhole = ({ moduleId }: TestSpecification) => moduleId.includes('/test/integration/');
    const sorted = await super.sort(files);
    return [...sorted.filter(isWhole), ...sorted.filter((file) => !isWhole(file))];
  }
}

/** What takes its time by the clock, and so runs when nothing else does. */
const ALONE = ['test/integration/kills.test.ts'];

/** Layers of tests by what they need: `unit` needs nothing; `system` the engine and the server; `alone` also the machine to itself. */
export default defineConfig({
  test: {
    pool: 'forks',
    sequence: { sequencer: WholeProductsFirst },
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
          exclude: ALONE,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          maxWorkers: 3,
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          sequence: { groupOrder: 2 },
          include: ALONE,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          maxWorkers: 1,
        },
      },
    ],
  },
});
