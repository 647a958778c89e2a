import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTarget } from '../../dataset/target.ts';
import { makeTarget } from '../support/target-folder.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'twinpatch-target-'));
});
afterAll(() => rm(home, { recursive: true }));

describe('the folder of a tokenizer', () => {
  test.each<[string, string, string | undefined, string]>([
    ['without a tokenizer', 'tokenizer.json', undefined, 'name the folder of the model'],
    ['without a configuration', 'tokenizer_config.json', undefined, 'tokenizer_config.json can'],
    ['without a chat template', 'chat_template.jinja', undefined, 'has no chat template'],
    ['with half a tokenizer', 'tokenizer.json', '{"model"', 'is not what a tokenizer needs'],
    ['with another tokenizer', 'tokenizer.json', '{"model":{"type":"New"}}', 'of an unknown kind'],
    ['with half a template', 'chat_template.jinja', '{% for x in', "can't be read"],
  ])('%s is refused, with what to do', async (what, name, content, message) => {
    const folder = await makeTarget(join(home, what.replaceAll(' ', '-')), 'qwen');
    if (content === undefined) await rm(join(folder, name));
    else await writeFile(join(folder, name), content);
    await expect(openTarget(folder)).rejects.toMatchObject({
      name: 'DatasetError',
      message: expect.stringContaining(message) as string,
    });
  });

  test('may have its templates in the configuration, one of them for tools', async () => {
    const folder = await makeTarget(join(home, 'inside'), 'chatml');
    await rm(join(folder, 'chat_template.jinja'));
    const templates = [
      { name: 'default', template: 'plain {{ bos_token }}' },
      { name: 'tool_use', template: 'tools {{ tools | length }}' },
    ];
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ bos_token: { content: '<b>' }, chat_template: templates }),
    );
    const target = await openTarget(folder);
    expect(target.render({ messages: [], tools: [] })).toBe('plain <b>');
    expect(target.render({ messages: [], tools: [{}] })).toBe('tools 1');
  });
});
