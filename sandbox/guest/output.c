/* What a command writes: its first and its last bytes are kept, all of them counted. */
#include <stdlib.h>
#include <string.h>

#include "guest.h"

bool open_output(struct output *output, uint32_t head_size, uint32_t tail_size) {
  *output = (struct output){.head_size = head_size, .tail_size = tail_size};
  output->head = malloc((size_t)head_size + 1);
  output->tail = malloc((size_t)tail_size + 1);
  return output->head != NULL && output->tail != NULL;
}

void keep_output(struct output *output, const uint8_t *bytes, size_t length) {
  size_t room = output->head_size - output->head_length;
  size_t first = length < room ? length : room;
  memcpy(output->head + output->head_length, bytes, first);
  output->head_length += (uint32_t)first;
  output->total += first;
  /* Of the rest, what would be written over at once is only counted. */
  size_t skipped = length - first > output->tail_size ? length - first - output->tail_size : 0;
  output->total += skipped;
  for (size_t done = first + skipped; done < length;) {
    size_t at = (output->total - output->head_length) % output->tail_size;
    size_t run = output->tail_size - at < length - done ? output->tail_size - at : length - done;
    memcpy(output->tail + at, bytes + done, run);
    output->total += run;
    done += run;
  }
}

void put_output(struct buffer *to, const struct output *output) {
  uint64_t rest = output->total - output->head_length;
  size_t size = output->tail_size, first = rest > size && size > 0 ? rest % size : 0;
  put_u64(to, output->total);
  put_text(to, output->head, output->head_length);
  put_u32(to, (uint32_t)(rest < size ? rest : size));
  put_bytes(to, output->tail + first, (rest < size ? rest : size) - first);
  put_bytes(to, output->tail, first);
}

void close_output(struct output *output) {
  free(output->head);
  free(output->tail);
  *output = (struct output){0};
}
