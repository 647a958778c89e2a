#include "wire.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(struct buffer *to, size_t more) {
  if (to->failed) return false;
  if (more > MAX_FRAME_BYTES + FRAME_HEADER_BYTES || to->length > 2 * (size_t)MAX_FRAME_BYTES) {
    to->failed = true;
    return false;
  }
  size_t needed = to->length + more;
  if (needed <= to->capacity) return true;
  size_t capacity = to->capacity < 256 ? 256 : to->capacity;
  while (capacity < needed) capacity *= 2;
  uint8_t *bytes = realloc(to->bytes, capacity);
  if (bytes == NULL) {
    to->failed = true;
    return false;
  }
  to->bytes = bytes;
  to->capacity = capacity;
  return true;
}

void put_bytes(struct buffer *to, const void *bytes, size_t length) {
  if (length == 0 || !reserve(to, length)) return;
  memcpy(to->bytes + to->length, bytes, length);
  to->length += length;
}

void put_u8(struct buffer *to, uint8_t value) { put_bytes(to, &value, 1); }

void put_u32(struct buffer *to, uint32_t value) {
  uint8_t bytes[4];
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  put_bytes(to, bytes, sizeof bytes);
}

void put_u64(struct buffer *to, uint64_t value) {
  put_u32(to, (uint32_t)value);
  put_u32(to, (uint32_t)(value >> 32));
}

void put_text(struct buffer *to, const void *bytes, size_t length) {
  put_u32(to, (uint32_t)length);
  put_bytes(to, bytes, length);
}

void put_cstring(struct buffer *to, const char *string) { put_text(to, string, strlen(string)); }

void drop_front(struct buffer *from, size_t length) {
  if (length > from->length) length = from->length;
  from->length -= length;
  if (from->length > 0) memmove(from->bytes, from->bytes + length, from->length);
  /* What one large frame needed is given back. */
  else if (from->capacity > 1 << 20) free_buffer(from);
}

void free_buffer(struct buffer *buffer) {
  free(buffer->bytes);
  *buffer = (struct buffer){0};
}

static const uint8_t *take(struct reader *from, size_t length) {
  if (from->bad || length > from->left) {
    from->bad = true;
    return NULL;
  }
  const uint8_t *at = from->at;
  from->at += length;
  from->left -= length;
  return at;
}

uint8_t get_u8(struct reader *from) {
  const uint8_t *at = take(from, 1);
  return at == NULL ? 0 : *at;
}

uint32_t get_u32(struct reader *from) {
  const uint8_t *at = take(from, 4);
  if (at == NULL) return 0;
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t get_u64(struct reader *from) {
  uint64_t low = get_u32(from);
  return low | (uint64_t)get_u32(from) << 32;
}

struct text get_text(struct reader *from) {
  size_t length = get_u32(from);
  const uint8_t *at = take(from, length);
  return at == NULL ? (struct text){(const uint8_t *)"", 0} : (struct text){at, length};
}

void put_frame(struct buffer *to, uint8_t type, uint32_t tag, const void *body, size_t length) {
  put_u32(to, (uint32_t)(length + FRAME_HEADER_BYTES - 4));
  put_u8(to, type);
  put_u32(to, tag);
  put_bytes(to, body, length);
}

long parse_frame(const uint8_t *bytes, size_t length, struct frame *frame) {
  if (length < 4) return 0;
  struct reader all = {bytes, length, false};
  size_t rest = get_u32(&all);
  if (rest < FRAME_HEADER_BYTES - 4 || rest > MAX_FRAME_BYTES) return -1;
  if (all.left < rest) return 0;
  all.left = rest;
  frame->type = get_u8(&all);
  frame->tag = get_u32(&all);
  frame->body = all;
  return (long)(rest + 4);
}

char *to_cstring(struct text text) {
  if (text.length == 0 || memchr(text.bytes, 0, text.length) != NULL) return NULL;
  char *string = malloc(text.length + 1);
  if (string == NULL) return NULL;
  memcpy(string, text.bytes, text.length);
  string[text.length] = 0;
  return string;
}

uint64_t hash_bytes(const void *bytes, size_t length) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
  return hash;
}
