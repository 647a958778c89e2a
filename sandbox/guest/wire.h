/* Frames of the connection between a worker and its guest.
 *
 * frame  = u32 length of the rest | u8 type | u32 tag | body
 * string = u32 length | bytes
 *
 * Numbers are little-endian. A reply carries the tag of its request; tags are the client's own, and not 0. */
#ifndef TWINPATCH_WIRE_H
#define TWINPATCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define FRAME_HEADER_BYTES 9
#define MAX_FRAME_BYTES (64u << 20)
#define MAX_BODY_BYTES (MAX_FRAME_BYTES - (FRAME_HEADER_BYTES - 4))

enum request_type {
  REQUEST_HELLO = 1,  /* u32 version, u64 epoch, u32 lease ms, u32 n, n strings NAME=value */
  REQUEST_RUN,        /* string id, u32 timeout ms, u32 head bytes, u32 tail bytes, string set-up, string command */
  REQUEST_ACK,        /* string id; never answered */
  REQUEST_READ,       /* string path, u64 offset, u32 bytes at most */
  REQUEST_WRITE,      /* string path, string bytes */
  REQUEST_LIST,       /* string path, u32 depth, u32 bytes at most */
  REQUEST_STOP,       /* ends every process; afterwards only the tree can be asked for */
  REQUEST_STAT,       /* -> u64 free bytes of the disk, u64 free inodes, u64 tasks with our own, u64 bytes of memory, u64 out-of-memory kills */
  REQUEST_CHANGES,    /* -> records, see changes.c */
  REQUEST_FETCH,      /* u64 bytes at most, u32 n, n strings: paths below the repository */
  REQUEST_USAGE,      /* u32 n, n strings: places -> u64 bytes, u64 inodes that were written there */
  REQUEST_LIMIT,      /* ends every command: the sandbox has written more than it may */
  REQUEST_PLACES,     /* -> u32 n, n strings: the topmost folders and files of the disk that the agent may change */
  REQUEST_SAVE,       /* u64 bytes at most, u32 n, n strings: places -> a tree, see tree.c */
  REQUEST_RESTORE,    /* string a tree -> u8 restored, string why not */
  REQUEST_END,        /* nothing else is done for any owner from now on: the container is about to be removed */
};

enum reply_type { REPLY_OK = 64, REPLY_ERROR = 65 /* u32 code, string reason */ };

enum error_code {
  ERROR_PROTOCOL = 1, /* not a frame of this version */
  ERROR_STALE,        /* an owner of a newer epoch was here */
  ERROR_STOPPED,      /* no command after STOP */
  ERROR_FORGOTTEN,    /* this request was acknowledged, and its result dropped */
  ERROR_NO_SHELL,     /* the image's shell can't be started */
  ERROR_INTERRUPTED,  /* a helper process was killed; ask again */
  ERROR_TOO_MUCH,     /* a cap was passed */
  ERROR_UNREADABLE,   /* what has to be in the answer can't be read */
};

/* Bytes that grow. `failed` is set when memory ran out or more than two frames were put; puts are then ignored. */
struct buffer {
  uint8_t *bytes;
  size_t length, capacity;
  bool failed;
};

/* A frame's body that is being read. `bad` is set by the first field that does not fit; what is read then is zero or empty. */
struct reader {
  const uint8_t *at;
  size_t left;
  bool bad;
};

struct text {
  const uint8_t *bytes;
  size_t length;
};

struct frame {
  uint8_t type;
  uint32_t tag;
  struct reader body;
};

void put_bytes(struct buffer *to, const void *bytes, size_t length);
void put_u8(struct buffer *to, uint8_t value);
void put_u32(struct buffer *to, uint32_t value);
void put_u64(struct buffer *to, uint64_t value);
void put_text(struct buffer *to, const void *bytes, size_t length);
void put_cstring(struct buffer *to, const char *string);
void drop_front(struct buffer *from, size_t length);
void free_buffer(struct buffer *buffer);

uint8_t get_u8(struct reader *from);
uint32_t get_u32(struct reader *from);
uint64_t get_u64(struct reader *from);
struct text get_text(struct reader *from);

/* Puts a whole frame with this body. */
void put_frame(struct buffer *to, uint8_t type, uint32_t tag, const void *body, size_t length);

/* Takes the first frame of `bytes`: its size, 0 where more bytes are needed, or -1 for what is no frame. */
long parse_frame(const uint8_t *bytes, size_t length, struct frame *frame);

/* FNV-1a */
uint64_t hash_bytes(const void *bytes, size_t length);

/* A text as a C string of its own (to be freed), or NULL where it holds a NUL, is empty, or memory ran out. */
char *to_cstring(struct text text);

#endif
