/** All formats by name. */

import { atif } from './atif.ts';
import type { Format } from './format.ts';
import { hermes } from './hermes.ts';
import type { FormatName } from './names.ts';
import { openaiFormat } from './openai.ts';
import { raw } from './raw.ts';
import { sharegpt } from './sharegpt.ts';
import { xml } from './xml.ts';

/** `argumentsAs` counts for `openai` alone. */
export function formatOf(name: FormatName, argumentsAs: 'object' | 'string' = 'object'): Format {
  switch (name) {
    case 'hermes':
      return hermes;
    case 'xml':
      return xml;
    case 'openai':
      return openaiFormat(argumentsAs);
    case 'sharegpt':
      return sharegpt;
    case 'atif':
      return atif;
    case 'raw':
      return raw;
  }
}
