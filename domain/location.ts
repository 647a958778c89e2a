/** What a user names a store by: a folder, or `s3://bucket/prefix`. */

/** Whether a location is a bucket, and no folder. */
export function isBucket(location: string): boolean {
  return location.startsWith('s3://');
}

/** A bucket's location in its parts; undefined for what is none. */
export function parseBucketLocation(
  location: string,
): { bucket: string; prefix: string } | undefined {
  const [, bucket, prefix = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[\w.@=+-]+)*)\/?$/.exec(location) ?? [];
  return bucket === undefined ? undefined : { bucket, prefix: prefix.slice(1) };
}
